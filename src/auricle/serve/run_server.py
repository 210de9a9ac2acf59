"""uvicorn, told to listen and to stop the way this server should."""

import asyncio
import logging
import math
import os
import signal
import socket
import threading
import time
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from auricle.serve.gateway import Gateway
from auricle.serve.guard.connection import limited_protocol, most_connections

_LOG = logging.getLogger(__name__)
_HEAD_TIMEOUT_S = 30.0
_SEND_TIMEOUT_S = 60.0
_MESSAGE_BYTES = 2**24  # of a WebSocket: more than the 15 MB of sound that OpenAI takes in one event
_LAST_S = 5.0  # after being told to end at once


class Server(uvicorn.Server):
    """A uvicorn server with three lives: it serves; it drains, told by a signal; it ends.

    While it drains, new requests are answered 503 and those that run or wait are finished, streams too. A second
    signal, or `drain_timeout_s`, ends it at once.
    """

    def __init__(self, gateway: Gateway, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=limited_protocol(_HEAD_TIMEOUT_S, send_timeout_s=_SEND_TIMEOUT_S, most=most_connections()),
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                ws_max_size=_MESSAGE_BYTES,
                ws_per_message_deflate=False,
            )
        )
        self._gateway = gateway
        self._deadline_s: float | None = None
        self.has_finished = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        for sock in sockets or ():
            host, port = sock.getsockname()[:2]
            _LOG.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)

    def handle_exit(self, sig: int, frame: FrameType | None = None) -> None:
        """The first signal drains, the next one ends."""
        if self._deadline_s is None:
            self._deadline_s = time.monotonic() + self._gateway.settings.drain_timeout_s
            self._gateway.admission.drain()
            admission = self._gateway.admission
            _LOG.info(
                "%s: no new requests; %d that run and %d that wait are finished; once more ends at once",
                signal.Signals(sig).name,
                admission.running,
                admission.waiting,
            )
        else:
            self._end_at_once()

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop, asked ten times a second."""
        if self._deadline_s is not None and not self.should_exit:
            admission = self._gateway.admission
            if not (admission.running or admission.waiting or self._gateway.num_live):
                left_s = self._deadline_s - time.monotonic()
                self.config.timeout_graceful_shutdown = max(1, math.ceil(left_s))  # for answers still being sent
                self.should_exit = True
            elif time.monotonic() > self._deadline_s:
                _LOG.warning("requests still run after drain_timeout_s; they are ended")
                self._end_at_once()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close what listens, then every connection."""
        if self.force_exit:
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            for task in list(self.server_state.tasks):
                task.cancel()
            await asyncio.sleep(0)
        await super().shutdown(sockets)

    def _end_at_once(self) -> None:
        self.has_finished = False
        self.should_exit = self.force_exit = True
        last = threading.Timer(_LAST_S, os._exit, [1])  # whatever still holds on
        last.daemon = True
        last.start()
