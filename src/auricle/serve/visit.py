"""One request's stay: its turn, its session with the engine, and the bridge between the event loop and threads."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from starlette.requests import HTTPConnection, Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from auricle.assistant import Assistant
from auricle.engines import Service, Session
from auricle.serve.admission import Admission

T = TypeVar("T")
_WATCH_S = 0.2  # so often it is asked whether a client has left
_UNBUFFERED = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # the latter is for nginx


class Visit:
    """What a request may use while it has its turn; `leave` must be called in the end, however it ends.

    assistant: speaks through a session that ends with the visit.
    """

    def __init__(self, admission: Admission, service: Service, limiter: anyio.CapacityLimiter) -> None:
        self._admission = admission
        self._limiter = limiter
        self._left = False
        self.session = Session(service)
        self.assistant = Assistant(self.session)

    async def run(self, client: HTTPConnection, work: Callable[[], T]) -> T:
        """The result of blocking work in a thread; where the client leaves meanwhile the session is cancelled."""
        watcher = asyncio.ensure_future(self._watch(client)) if isinstance(client, Request) else None
        try:
            return await self._in_thread(work)
        except asyncio.CancelledError:
            self.session.cancel()  # the thread that is left behind ends soon
            raise
        finally:
            if watcher is not None:
                watcher.cancel()

    async def stream(self, items: Callable[[], Iterator[T]]) -> AsyncIterator[T]:
        """The items of a blocking iterator, which runs in a thread, at most a few ahead of the client.

        Where nobody wants more of them, the session is cancelled and the iterator closed.
        """
        iterator: Iterator[T] | None = None
        end = object()

        def following() -> Any:
            nonlocal iterator
            if iterator is None:
                iterator = items()
            return next(iterator, end)

        try:
            while (item := await self._in_thread(following)) is not end:
                yield item
        except BaseException:
            self.session.cancel()
            with suppress(ValueError):  # it runs in a thread that is left behind, and ends there
                getattr(iterator, "close", lambda: None)()
            raise

    def leave(self) -> None:
        """Cancel what is still on its way and give the turn back; a second call changes nothing."""
        if not self._left:
            self._left = True
            self.session.cancel()
            self._admission.leave()

    async def __aenter__(self) -> "Visit":
        return self

    async def __aexit__(self, *error: object) -> None:
        self.leave()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._limiter, abandon_on_cancel=True)

    async def _watch(self, client: Request) -> None:
        with suppress(RuntimeError):
            await until_gone(client)
            self.session.cancel()


async def until_gone(client: Request) -> None:
    """Wait until a client whose body is read has left."""
    while not await client.is_disconnected():
        await asyncio.sleep(_WATCH_S)


class EventStream(StreamingResponse):
    """Server-sent events of a visit, which ends with them, also when the client leaves before their end."""

    def __init__(self, visit: Visit, events: AsyncIterator[str]) -> None:
        super().__init__(events, media_type="text/event-stream", headers=_UNBUFFERED)
        self._visit = visit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._visit.leave()
