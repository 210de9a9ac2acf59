"""How many connections there may be, how long a client may take for a request's head or for its answer's next part.

uvicorn itself waits for ever.
"""

import asyncio
import json
import math
from typing import Any

from auricle.serve.wire.errors import ApiError

_MOST_HEAD_BYTES = 2**16
_FEWEST = 16
_KEPT = 64  # descriptors for the server itself: what listens, its model's files, its logs
_DESCRIPTORS = 3  # of a connection: itself, its recording on disk, the pipe that the sound comes from


def most_connections() -> int:
    """So many connections the system's limit on open files allows."""
    try:
        import resource  # not every system has it
    except ImportError:
        return 2**16
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**16 if limit == resource.RLIM_INFINITY else max(_FEWEST, (limit - _KEPT) // _DESCRIPTORS)


class _Bounded(asyncio.Protocol):
    """Before uvicorn's protocol: so many connections, and none whose client has stopped reading."""

    most_connections: int
    longest_send_s: float
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    connections: set[asyncio.Protocol]
    _is_refused = False
    _alarm: asyncio.TimerHandle | None = None
    _send_alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came, perhaps one too many."""
        super().connection_made(transport)
        self._is_refused = len(self.connections) > self.most_connections
        if self._is_refused:
            self.transport.write(_REFUSAL)
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Nobody listens to a client that was sent away."""
        if not self._is_refused:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._stop_send_alarm()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """More waits for the client than is kept for it."""
        super().pause_writing()
        if self._send_alarm is None and math.isfinite(self.longest_send_s):
            self._send_alarm = self.loop.call_later(self.longest_send_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It has taken most of it."""
        self._stop_send_alarm()
        super().resume_writing()

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _stop_send_alarm(self) -> None:
        if self._send_alarm is not None:
            self._send_alarm.cancel()
            self._send_alarm = None


def limited_protocol(
    head_timeout_s: float, *, send_timeout_s: float = math.inf, most: int = 2**16
) -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol with limits.

    head_timeout_s: from a connection's begin, or its last answer, to the end of the next request's headers.
    send_timeout_s: a client that takes nothing of what waits for it, or too little, for so long is cut off.
    most: further connections are answered 503 and closed.
    """
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    base: Any = AutoHTTPProtocol

    class LimitedProtocol(_Bounded, base):
        """Ends connections whose next request does not begin in time."""

        most_connections = most
        longest_send_s = send_timeout_s

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            """A client came."""
            super().connection_made(transport)
            self._num_head_bytes = 0
            self._expect_head()

        def data_received(self, data: bytes) -> None:
            """Some of a head or a body."""
            before = self.cycle
            super().data_received(data)
            if self.cycle is not before or (before is not None and not before.response_complete):
                self._num_head_bytes = 0
                self._stop_alarm()
                return
            self._num_head_bytes += len(data)
            self._expect_head()
            if self._num_head_bytes > _MOST_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The request's headers are too large.")

        def on_header(self, name: bytes, value: bytes) -> None:
            """One header; those after a body (trailers) are of no use here and would be kept without end."""
            if self.cycle is None or self.cycle.scope is not self.scope:
                super().on_header(name, value)

        def connection_lost(self, exc: Exception | None) -> None:
            """The client is gone."""
            self._stop_alarm()
            super().connection_lost(exc)

        def _expect_head(self) -> None:
            if self._alarm is None:
                self._alarm = self.loop.call_later(head_timeout_s, self._on_alarm)

        def _on_alarm(self) -> None:
            is_waiting = self.cycle is None or self.cycle.response_complete
            if is_waiting and self.transport.get_protocol() is self and not self.transport.is_closing():
                self.transport.close()

    return LimitedProtocol


def _refusal() -> bytes:
    """The whole answer to a connection that is one too many."""
    error = ApiError(503, "the server has too many connections; close some, or try again later")
    body = json.dumps(error.body).encode()
    head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


_REFUSAL = _refusal()
