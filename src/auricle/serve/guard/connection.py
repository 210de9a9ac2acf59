"""How long a client may take for a request's head, and how large that may be: uvicorn itself waits for ever."""

import asyncio
from typing import Any

_MOST_HEAD_BYTES = 2**16


def limited_protocol(head_timeout_s: float) -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol with both limits.

    head_timeout_s: from a connection's begin, or its last answer, to the end of the next request's headers.
    """
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    base: Any = AutoHTTPProtocol

    class LimitedProtocol(base):
        """Ends connections whose next request does not begin in time."""

        def connection_made(self, transport: asyncio.Transport) -> None:
            """A client came."""
            super().connection_made(transport)
            self._num_head_bytes = 0
            self._alarm: asyncio.TimerHandle | None = None
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

        def _stop_alarm(self) -> None:
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None

        def _on_alarm(self) -> None:
            is_waiting = self.cycle is None or self.cycle.response_complete
            if is_waiting and self.transport.get_protocol() is self and not self.transport.is_closing():
                self.transport.close()

    return LimitedProtocol
