"""One WebSocket: messages go to the logic one by one, its events go out, its jobs run in threads."""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import anyio.to_thread
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from auricle.engines import GivenUpError
from auricle.serve.gateway import Gateway
from auricle.serve.live.events import error_event
from auricle.serve.live.inbox import Inbox
from auricle.serve.live.jobs import Failed, Guess, Job, Report, Transcribe, reports
from auricle.serve.live.outbox import Cancel, Close, Out
from auricle.serve.live.session import LiveSession
from auricle.serve.visit import Visit
from auricle.serve.wire.errors import ApiError, to_api_error

_LOG = logging.getLogger(__name__)
_SHORT_BYTES = 2**15  # a message that the event loop may handle itself
_TICK_S = 0.5
_TRIES = 5  # for a transcript that is sent away with 429
_LONGEST_RETRY_S = 5.0
_AWAY, _TOO_BIG, _BROKEN = 1001, 1009, 1011


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, and how much.

    idle_s: a client that sends nothing for so long is sent away.
    send_s: so long it may take to read an event.
    message_bytes: of one message.
    """

    idle_s: float = 900
    send_s: float = 60
    message_bytes: int = 16 * 2**20


class Connection:
    """Runs a session over an accepted WebSocket, until either side ends it; leaves nothing running."""

    def __init__(self, websocket: WebSocket, session: LiveSession, gateway: Gateway, patience: Patience) -> None:
        self._websocket = websocket
        self._session = session
        self._gateway = gateway
        self._patience = patience
        self._reports: asyncio.Queue[Report] = asyncio.Queue()
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._visits: dict[str, Visit] = {}
        self._news = asyncio.Event()
        self._inbox = Inbox(websocket.receive, lambda: session.is_behind, self._news.set)
        self._closed = False

    async def run(self) -> None:
        """Serve the client."""
        reader = asyncio.ensure_future(self._inbox.read())
        try:
            await self._do(self._session.begin())
            while not self._closed:
                await self._turn()
        except (TimeoutError, WebSocketDisconnect, OSError):
            pass  # the client left, or does not read
        except Exception:
            _LOG.exception("a live connection failed")
            with suppress(Exception):
                await self._do([error_event(ApiError(500, "the server failed on this connection")), Close(_BROKEN, "")])
        finally:
            reader.cancel()
            for job_id in list(self._jobs):
                self._cancel(job_id)
            await asyncio.gather(reader, *self._jobs.values(), return_exceptions=True)

    async def _turn(self) -> None:
        """Do what there is to do: what time asks for, then reports, then one message; or wait for any of them."""
        await self._look_at_the_time()
        while not self._reports.empty() and not self._closed:
            await self._do(self._session.report(self._reports.get_nowait()))
        if self._closed:
            return
        if self._inbox.gone:
            raise WebSocketDisconnect
        await self._tell_dropped()
        self._inbox.look_again()
        if len(self._inbox) and not self._session.is_behind:
            await self._take(self._inbox.take())
            return
        self._news.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), _TICK_S)

    async def _tell_dropped(self) -> None:
        if num := self._inbox.num_dropped:
            self._inbox.num_dropped = 0
            told = f"the server is busy: it waits for the words of earlier turns, and dropped {num} messages"
            await self._do([error_event(ApiError(429, told, code="rate_limit_exceeded"))])

    async def _take(self, message: str | bytes) -> None:
        if len(message) > self._patience.message_bytes:
            error = ApiError(413, f"a message of {len(message)} bytes: expected at most {self._patience.message_bytes}")
            await self._do([error_event(error), Close(_TOO_BIG, "the message is too large")])
        elif len(message) < _SHORT_BYTES:
            await self._do(self._session.take(message))
        else:
            await self._do(await anyio.to_thread.run_sync(self._session.take, message))

    async def _look_at_the_time(self) -> None:
        if self._gateway.admission.draining:
            await self._do(self._session.stop())
        elif time.monotonic() - self._inbox.last_s > self._patience.idle_s and not self._jobs:
            error = ApiError(408, f"nothing was sent for {self._patience.idle_s:g} s", code="idle_timeout")
            await self._do([error_event(error), Close(_AWAY, "nothing was sent for too long")])

    async def _do(self, outs: list[Out]) -> None:
        for out in outs:
            if isinstance(out, dict):
                await asyncio.wait_for(self._websocket.send_text(json.dumps(out)), self._patience.send_s)
            elif isinstance(out, Cancel):
                self._cancel(out.job_id)
            elif isinstance(out, Close):
                self._closed = True
                if self._websocket.application_state is WebSocketState.CONNECTED:
                    await asyncio.wait_for(self._websocket.close(out.code, out.reason), self._patience.send_s)
            else:
                task = asyncio.ensure_future(self._work(out))
                self._jobs[out.id] = task
                task.add_done_callback(self._forget(out.id))

    def _forget(self, job_id: str) -> Callable[[asyncio.Task[None]], None]:
        def forget(task: asyncio.Task[None]) -> None:
            self._jobs.pop(job_id, None)

        return forget

    def _cancel(self, job_id: str) -> None:
        if (visit := self._visits.get(job_id)) is not None:
            visit.leave()
        if (task := self._jobs.get(job_id)) is not None:
            task.cancel()

    async def _work(self, job: Job) -> None:
        try:
            async with await self._enter(job) as visit:
                self._visits[job.id] = visit
                try:
                    async for report in visit.stream(lambda: reports(job, visit.session)):
                        self._tell(report)
                finally:
                    del self._visits[job.id]
        except GivenUpError:
            pass  # it was cancelled
        except Exception as error:
            told = to_api_error(error)
            if told.status == 500:
                _LOG.exception("a live %s failed", type(job).__name__)
            self._tell(Failed(job.id, told))

    async def _enter(self, job: Job) -> Visit:
        """Wait for a turn, also in a drain; a guess never waits, and leaves half of the turns to others."""
        admission = self._gateway.admission
        if isinstance(job, Guess):
            if admission.waiting or 2 * admission.running >= self._gateway.settings.max_concurrency:
                raise ApiError(429, "the server is busy")
            return await self._gateway.enter()
        for _ in range(_TRIES - 1 if isinstance(job, Transcribe) else 0):
            try:
                return await self._gateway.enter(begun=True)
            except ApiError as error:
                if error.status != 429:
                    raise
                await asyncio.sleep(min(float(error.headers.get("Retry-After", 1)), _LONGEST_RETRY_S))
        return await self._gateway.enter(begun=True)

    def _tell(self, report: Report) -> None:
        self._reports.put_nowait(report)
        self._news.set()
