"""What of the page can be reached, and by whom: few of gradio's routes, none of them without the key."""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import anyio.to_thread
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auricle.serve.page.login import Login
from auricle.serve.page.streams import Streams
from auricle.serve.wire.errors import ApiError

# gradio's own routes that the page needs. All else that gradio offers (its API, fetching addresses, proxying, screen
# recordings through ffmpeg, monitoring, deep links) is not there at all.
_NEEDED = re.compile(
    r"/|/config/?|/theme\.css|/favicon\.ico|/login/?|/page/(?:script|worklet|picture|v1/realtime)|/(?:assets|static)/.+"
    r"|/gradio_api/(?:queue/(?:join|data)|upload|upload_progress|startup-events|heartbeat/\w+|file=/.+)"
)
_DIGITS = 19  # of a length that may be meant
_EVENT_BYTES = 2**20  # of one event: a few words, settings, and the names of uploaded files
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "connect-src 'self' data: blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer the login's form would come from the origin "null"
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}


class PageMount(Mount):
    """The page at /, which claims only its own paths: for any other the API answers, with 404 or 405."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a path is one of the page's."""
        if scope["type"] not in ("http", "websocket") or not _NEEDED.fullmatch(scope["path"]):
            return Match.NONE, {}
        return super().matches(scope)


class Door:
    """An ASGI app around gradio's.

    make_room: called with the bytes of an upload before it is read; blocks.
    """

    def __init__(self, app: ASGIApp, login: Login | None, streams: Streams, make_room: Callable[[int], None]) -> None:
        self._app = app
        self._login = login
        self._streams = streams
        self._make_room = make_room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, ask for the key, or refuse."""
        connection = HTTPConnection(scope)
        answer = await self._answer(connection, scope, receive)
        if isinstance(answer, Response):
            await answer(scope, receive, _with_headers(send))
        else:
            await self._streams.run(self._app, scope, answer, _with_headers(send))

    async def _answer(self, connection: HTTPConnection, scope: Scope, receive: Receive) -> Response | Receive:
        """The whole answer, or what to receive further on."""
        path = scope["path"].rstrip("/")
        if path == "/login":
            if self._login is None:
                return RedirectResponse("./", 303)
            return await self._login.answer(Request(scope, receive))
        if self._login is not None and path != "/favicon.ico" and not self._login.knows(connection):
            if scope["type"] == "http" and path == "":
                return RedirectResponse("login", 303)
            return ApiError(401, "log in first: open this server's page in a browser").response()
        if path == "/gradio_api/queue/join":
            return await _checked_event(Request(scope, receive))
        if path == "/gradio_api/upload":
            length = connection.headers.get("content-length", "")
            await anyio.to_thread.run_sync(
                self._make_room, int(length) if length.isdecimal() and len(length) < _DIGITS else 0
            )
        return receive


async def _checked_event(request: Request) -> Response | Receive:
    """An event may name uploaded files, never an address: gradio would fetch it."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _EVENT_BYTES:
            return ApiError(413, f"an event of the page takes at most {_EVENT_BYTES} bytes").response()
    try:
        event = json.loads(bytes(body))
    except (ValueError, RecursionError):
        return ApiError(400, "an event of the page is JSON").response()
    if _names_an_address(event):
        return ApiError(400, "a recording of the page is an uploaded file, not an address").response()
    return _replay(bytes(body), request.receive)


def _names_an_address(event: Any) -> bool:
    """Whether any file in an event lies elsewhere; walked without recursion, whatever its depth."""
    left = [event]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            path = part.get("path")
            if "path" in part and not (isinstance(path, str) and path.startswith("/")):
                return True
            left.extend(part.values())
        elif isinstance(part, list):
            left.extend(part)
    return False


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body again, then whatever comes."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return first.pop() if first else await receive()

    return again


def _with_headers(send: Send) -> Callable[[Message], Awaitable[None]]:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
        await send(message)

    return sending
