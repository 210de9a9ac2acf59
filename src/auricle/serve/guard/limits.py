"""How much of a request's body is read, how long that may take, and how much of all bodies is held at once."""

import asyncio
from contextlib import suppress
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auricle.serve.admission import Admission
from auricle.serve.guard.keys import Guard
from auricle.serve.settings import ServeSettings
from auricle.serve.wire.errors import ApiError

_UPLOADS = ("/v1/audio/", "/gradio_api/upload")
_FORM_BYTES = 2**20  # of an upload, beside the recording
_BYTES_PER_S = 4000  # 32 kbit/s; a slower body is cut off
_BODIES_AT_ONCE = 8  # so many of the largest size are held at once, or more that are smaller
_GLANCE_S = 0.2  # for the rest of a body that nobody reads, before its answer
_LINGER_S = 2.0  # and after it: a client that still sends would not see an answer on a closed connection


def add_guards(app: FastAPI, settings: ServeSettings, admission: Admission) -> None:
    """Put keys and limits around every route of an app, mounted ones too."""
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Limits, settings=settings, admission=admission)  # the last one added stands outermost


class Limits:
    """An ASGI app around another. Bodies are counted as they come, whatever their headers say."""

    def __init__(self, app: ASGIApp, *, settings: ServeSettings, admission: Admission) -> None:
        self._app = app
        self._admission = admission
        self._timeout_s = settings.body_timeout_s
        self._uploads = _Kind(settings.max_upload_mb, extra_bytes=_FORM_BYTES)
        self._others = _Kind(settings.max_body_mb)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        kind = self._uploads if scope["path"].startswith(_UPLOADS) else self._others
        exchange = _Exchange(self._admission, kind, self._timeout_s, scope, receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception:
            if exchange.refused is None or exchange.has_begun:
                raise
        finally:
            exchange.release()
        await exchange.refuse()


class _Kind:
    """Bodies with one limit. held_bytes: of all of them whose requests are not answered yet."""

    def __init__(self, most_mb: int, *, extra_bytes: int = 0) -> None:
        self.most_mb = most_mb
        self.most_bytes = most_mb * 10**6 + extra_bytes
        self.held_bytes = 0

    def too_large(self) -> ApiError:
        return ApiError(413, f"the request is larger than {self.most_mb} MB, the limit here; send less")


class _Exchange:
    """One request and its answer, between the server and the app."""

    def __init__(
        self, admission: Admission, kind: _Kind, timeout_s: float, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self.refused: ApiError | None = None
        self.has_begun = False
        self._admission = admission
        self._kind = kind
        self._scope = scope
        self._receive = receive
        self._send = send
        headers = Headers(scope=scope)
        self._said_bytes = headers.get("content-length", "0")
        self._is_whole = "transfer-encoding" not in headers and self._said_bytes == "0"
        self._is_asked_for = "expect" not in headers  # a client that waits for 100 Continue sends nothing before
        self._num_bytes = 0
        self._start_s = asyncio.get_running_loop().time()
        self._timeout_s = timeout_s

    async def receive(self) -> Message:
        """The next of the body; once it is whole, that the client left.

        Raises:
            ApiError: 408, 413 or 429; the app's own answer to it is dropped, and this one sent.
        """
        if self._is_whole:
            return await self._receive()
        if self.refused is not None:
            raise self.refused
        if self._said_bytes.isdigit() and int(self._said_bytes) > self._kind.most_bytes:
            raise self._refusal(self._kind.too_large())
        self._is_asked_for = True
        try:
            async with asyncio.timeout_at(self._start_s + self._timeout_s + self._num_bytes / _BYTES_PER_S):
                message = await self._receive()
        except TimeoutError:
            raise self._refusal(
                ApiError(408, f"the request's body came too slowly: {self._num_bytes} bytes; send it again")
            ) from None
        self._count(message)
        return message

    async def send(self, message: Message) -> None:
        """The app's answer, unless the request was refused; the rest of a body that it did not want is let pass."""
        if self.refused is not None and not self.has_begun:
            return
        if message["type"] == "http.response.start":
            self.has_begun = True
            await self._let_pass(_GLANCE_S)
            if not self._is_whole or self._admission.draining:
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        elif not self._is_whole and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._let_pass(_LINGER_S)
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def refuse(self) -> None:
        """Answer a refused request."""
        if self.refused is not None and not self.has_begun:
            error, self.refused = self.refused, None
            await error.response()(self._scope, self._receive, self.send)

    def release(self) -> None:
        """Its body is held no more."""
        self._kind.held_bytes -= self._num_bytes
        self._num_bytes = 0

    def _count(self, message: Message) -> None:
        if message["type"] != "http.request":
            self._is_whole = True  # the client left
            return
        num_bytes = len(message.get("body", b""))
        self._num_bytes += num_bytes
        self._kind.held_bytes += num_bytes
        self._is_whole = not message.get("more_body", False)
        if self._num_bytes > self._kind.most_bytes:
            raise self._refusal(self._kind.too_large())
        if self._kind.held_bytes > _BODIES_AT_ONCE * self._kind.most_bytes:
            raise self._refusal(self._admission.too_many("the requests that came hold too much memory"))

    def _refusal(self, error: ApiError) -> ApiError:
        self.refused = error
        return error

    async def _let_pass(self, timeout_s: float) -> None:
        if not self._is_asked_for:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not self._is_whole:
                    message: dict[str, Any] = dict(await self._receive())
                    self._is_whole = message["type"] != "http.request" or not message.get("more_body", False)
