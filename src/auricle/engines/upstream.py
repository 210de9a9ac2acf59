"""Servers that run elsewhere as one `Service`: every request goes to the one with the fewest on their way."""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from auricle.conversation import Sampling
from auricle.engines.chat_server import ChatServer, Reading, read_score
from auricle.engines.interface import Request
from auricle.engines.openai import find_key, find_server, import_openai, sentences
from auricle.engines.ticket import Ticket
from auricle.errors import UserError

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_CONNECT_S = 5.0
_ANSWER_S = 600.0  # the longest wait for the next piece
_BUSY = 429
_IS_BUSY = "it is busy"
_REFUSALS = frozenset({400, 413, 415, 422})  # of a request, which another server would refuse too


class UpstreamError(ConnectionError):
    """No server answers, or one broke off in the middle of an answer: nothing that the client can change."""


class UpstreamBusyError(UpstreamError):
    """Every server that can be reached has too much to do; it may be asked again in a while."""


@dataclass(slots=True)
class _Upstream:
    """One server. It is left out until `paused_until` (of `time.monotonic`)."""

    url: str
    client: Any
    known: bool = False
    num_open: int = 0
    paused_until: float = 0.0


class _UpstreamTicket(Ticket):
    """Closes the connection as soon as nobody waits."""

    work: Future[None] | None = None

    def cancel(self) -> None:
        super().cancel()
        if self.work is not None:
            self.work.cancel()


class UpstreamService:
    """OpenAI-compatible servers of one kind: vLLM's, or Auricle's own.

    A server that cannot be reached or that fails is left out for a pause; what it had not begun to answer goes to
    another one.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        model: str,
        api_key: str | None = None,
        batch_size: int = 8,
        pause_s: float = 5.0,
    ) -> None:
        """Args: urls end with /v1; batch_size is each server's.

        Raises:
            UserError: none of them answers, one has no such model, or they are of different kinds.
        """
        self._key = find_key(api_key)
        self._pause_s = pause_s
        self._upstreams = [_Upstream(url, self._client(url)) for url in urls]
        found = self._find(model)
        self._server = replace(found[0], called="the upstream server")  # clients hear no address of ours
        self.max_model_len = min((one.max_model_len for one in found if one.max_model_len is not None), default=None)
        self._loop = asyncio.new_event_loop()
        self._tickets: set[Ticket] = set()  # of the loop's thread alone
        self._closed = False
        self.defaults = Sampling()
        self.batch_size = batch_size * len(urls)
        self._thread = threading.Thread(target=self._loop.run_forever, name="auricle-upstream", daemon=True)
        self._thread.start()

    def submit(self, request: Request, sampling: Sampling, index: int = 0) -> Ticket:
        """Hand in one request from any thread; its ticket may raise an `UpstreamError`.

        Raises:
            UserError: the servers cannot be trusted with it.
        """
        body = self._server.body(request, sampling, index)
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        ticket = _UpstreamTicket()
        ticket.work = self._start(self._answer(body, sampling, ticket))
        return ticket

    def score(self, request: Request, continuations: Sequence[str]) -> list[float]:
        """The log-probability of each text as what the model says next, where the servers are vLLM's.

        Raises:
            UserError: they are not, or do not trust our template.
            UpstreamError: none of them answers.
        """
        bodies = [self._server.scoring(request, text) for text in ("", *continuations)]

        async def score(client: Any) -> list[Any]:
            return await asyncio.gather(*(client.chat.completions.create(**body) for body in bodies))

        prompt, *scored = self._start(self._ask(score)).result()
        return [read_score(self._server, prompt, one) for one in scored]

    @property
    def healthy(self) -> bool:
        """Whether any server is not left out."""
        return any(upstream.paused_until <= time.monotonic() for upstream in self._upstreams)

    @property
    def num_running(self) -> int:
        """Requests that are on their way."""
        return sum(upstream.num_open for upstream in self._upstreams)

    def close(self) -> None:
        """Close every connection; requests still on their way fail. A second call changes nothing."""
        if not self._closed:
            self._closed = True
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if self._closed:
            work.close()
            raise RuntimeError("the engine was closed")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _answer(self, body: dict[str, Any], sampling: Sampling, ticket: Ticket) -> None:
        """One request's whole way; everything that happens ends in its ticket."""
        began = False

        async def read(client: Any) -> Any:
            nonlocal began
            reading, usage = Reading(self._server, sampling), None
            async with await client.chat.completions.create(**body) as chunks:
                async for chunk in chunks:
                    usage = chunk.usage or usage
                    if chunk.choices and (piece := reading.hear(chunk.choices[0], chunk.choices[0].delta.content)):
                        began = True
                        ticket.push(piece)
            if not reading.ended or usage is None:
                raise UpstreamError("the stream ended before the answer")
            return reading.answer(usage)

        self._tickets.add(ticket)
        try:
            ticket.finish(await self._ask(read, may_move=lambda: not began))
        except Exception as error:
            ticket.fail(error)
        finally:
            self._tickets.discard(ticket)

    async def _ask(self, ask: Callable[[Any], Awaitable[T]], *, may_move: Callable[[], bool] = lambda: True) -> T:
        """What the first server says that can; another one is asked only while `may_move`."""
        left = list(self._upstreams)
        reasons: list[str] = []
        while left and may_move():
            upstream = min(left, key=lambda one: (one.paused_until > time.monotonic(), one.num_open))
            left.remove(upstream)
            upstream.num_open += 1
            try:
                await self._require_kind(upstream)
                said = await ask(upstream.client)
                upstream.paused_until = 0.0
                return said
            except Exception as error:
                reasons.append(self._judge(upstream, error))
            finally:
                upstream.num_open -= 1
        if not may_move():
            raise UpstreamError("the upstream server broke off in the middle of its answer")
        kind = UpstreamBusyError if _IS_BUSY in reasons else UpstreamError
        raise kind(f"no upstream server answers: {reasons[-1]}")

    def _judge(self, upstream: _Upstream, error: Exception) -> str:
        """What went wrong, where another server may do better; else the error as the client should read it."""
        openai = import_openai()
        if isinstance(error, openai.APIStatusError) and error.status_code in _REFUSALS:
            with sentences(self._server):
                raise error
        if (code := _told_status(error)) in _REFUSALS:  # a stream that began with an error in place of a piece
            raise UserError(f"the upstream server answered {code} to model {self._server.model!r}: {error}") from error
        _LOG.warning("%s: %s", upstream.url, error, exc_info=not isinstance(error, openai.OpenAIError))
        if isinstance(error, openai.APIStatusError) and error.status_code == _BUSY:
            return _IS_BUSY
        upstream.paused_until = time.monotonic() + self._pause_s
        if isinstance(error, openai.APIStatusError):
            return f"status {error.status_code}"
        return str(error) if isinstance(error, UpstreamError) else type(error).__name__

    async def _require_kind(self, upstream: _Upstream) -> None:
        """A server that was away at the start must be like the others."""
        if not upstream.known:
            server = await asyncio.to_thread(self._look, upstream.url, self._server.model)
            if server.owner != self._server.owner:
                raise UpstreamError("it is of another kind than the other servers")
            upstream.known = True

    def _find(self, model: str) -> list[ChatServer]:
        """What the servers are that answer now."""
        found, refused = list[ChatServer](), list[UserError]()
        for upstream in self._upstreams:
            try:
                found.append(self._look(upstream.url, model))
                upstream.known = True
            except UserError as error:
                if not isinstance(error.__cause__, import_openai().APIConnectionError):
                    raise
                refused.append(error)
                _LOG.warning("%s", error)
        if not found:
            raise refused[0]
        if len({server.owner for server in found}) > 1:
            raise UserError(
                "the upstream servers are of different kinds: "
                f"{', '.join(f'{server.url} {server.owner}' for server in found)}; "
                "serve one kind, vLLM or Auricle"
            )
        return found

    def _look(self, url: str, model: str) -> ChatServer:
        with import_openai().OpenAI(base_url=url, api_key=self._key, max_retries=0, timeout=_CONNECT_S) as client:
            return find_server(client, url, model)

    def _client(self, url: str) -> Any:
        openai = import_openai()
        timeout = openai.Timeout(_ANSWER_S, connect=_CONNECT_S)
        return openai.AsyncOpenAI(base_url=url, api_key=self._key, max_retries=0, timeout=timeout)

    async def _end(self) -> None:
        for ticket in self._tickets:
            ticket.fail(RuntimeError("the engine was closed"))
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for upstream in self._upstreams:
            await upstream.client.close()


def _told_status(error: Exception) -> int | None:
    """The status that an error event of a stream names."""
    code = str(getattr(error, "code", None))
    return int(code) if code.isdecimal() else None
