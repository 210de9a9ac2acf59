"""Who may use the server: those with its key; without one, whoever runs programs on this machine, but no web page.

The rule for paths: everything needs the key but /health and the page's own paths, where the page asks for the key
itself. So what of the model a page reaches stands behind its login, and all else behind the header.
"""

import hashlib
import hmac
import ipaddress
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from auricle.serve.settings import ServeSettings
from auricle.serve.wire.errors import ApiError

_OPEN_PATHS = ("/health",)
_PAGE_PATHS = ("/", "/config", "/theme.css", "/favicon.ico", "/login")
_PAGE_FOLDERS = ("/config/", "/login/", "/page/", "/assets/", "/static/", "/gradio_api/")
_SUBPROTOCOL = "openai-insecure-api-key."  # browsers cannot send headers with a WebSocket; OpenAI's send this
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine reach a server that listens there."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """An ASGI app around another: refuses whoever may not come in, before anything of the request is read."""

    def __init__(self, app: ASGIApp, *, settings: ServeSettings) -> None:
        self._app = app
        self._page = settings.page
        self._digest = None if settings.api_key is None else _digest(settings.api_key)
        here = {"localhost", "127.0.0.1", "[::1]", settings.host.lower(), f"[{settings.host.lower()}]"}
        self._hosts = here if self._digest is None and is_loopback(settings.host) else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it."""
        if scope["type"] in ("http", "websocket"):
            try:
                self._check(HTTPConnection(scope))
            except ApiError as error:
                await error.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, connection: HTTPConnection) -> None:
        path = connection.scope["path"]
        is_page = self._page and (path in _PAGE_PATHS or path.startswith(_PAGE_FOLDERS))
        if self._digest is None:
            self._require_host(connection)
            _require_own_origin(connection)
        elif is_page:
            if connection.scope.get("method") not in _SAFE_METHODS:
                _require_own_origin(connection)
        elif path not in _OPEN_PATHS:
            self._require_key(connection)

    def _require_host(self, connection: HTTPConnection) -> None:
        """A name of the attacker's that suddenly means this machine (DNS rebinding) still stands in the Host header."""
        host = ", ".join(connection.headers.getlist("host")).lower()
        if self._hosts is not None and _without_port(host) not in self._hosts:
            raise ApiError(
                421,
                f"this server does not answer for the host {_shown(host)}; use localhost, or start it with --host or "
                "--api-key",
            )

    def _require_key(self, connection: HTTPConnection) -> None:
        shown = _shown_keys(connection)
        # All are compared, and whole, so that the time it takes says nothing about the key.
        if not sum(hmac.compare_digest(_digest(key), self._digest or b"") for key in shown):
            message = "the API key is wrong" if shown else "an API key is needed"
            raise ApiError(
                401,
                f"{message}; send the one this server was started with: Authorization: Bearer KEY",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )


def _require_own_origin(connection: HTTPConnection) -> None:
    """Browsers say which page sends a request: one from elsewhere must not use what its reader may use.

    A proxy that changes Host tells the old one in X-Forwarded-Host, which no page can send elsewhere unasked.
    """
    for origin in connection.headers.getlist("origin"):
        hosts = {connection.headers.get("host", "").lower(), connection.headers.get("x-forwarded-host", "").lower()}
        netloc = _netloc(origin)
        if not netloc or netloc not in hosts:
            raise ApiError(
                403, f"a page of {_shown(origin)} may not use this server: only its own page and programs may"
            )


def _shown_keys(connection: HTTPConnection) -> list[str]:
    keys = []
    for value in connection.headers.getlist("authorization"):
        scheme, _, key = value.partition(" ")
        if scheme.lower() == "bearer":
            keys.append(key.strip())
    if connection.scope["type"] == "websocket":
        protocols = ",".join(connection.headers.getlist("sec-websocket-protocol")).split(",")
        keys += [name.strip().removeprefix(_SUBPROTOCOL) for name in protocols if name.strip().startswith(_SUBPROTOCOL)]
    return keys


def _digest(key: str) -> bytes:
    """Of one length whatever the key's, so that comparing takes the same time for any."""
    return hashlib.sha256(key.encode(errors="replace")).digest()


def _without_port(host: str) -> str:
    return host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0]


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _shown(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:80] or "(none)"
