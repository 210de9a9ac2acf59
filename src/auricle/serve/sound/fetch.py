"""A recording over https, from public servers alone: what an `audio_url` may make this server do for a stranger."""

import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from queue import Empty, SimpleQueue
from typing import Any, BinaryIO
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from auricle.serve.sound.addresses import is_public, resolve
from auricle.serve.sound.media_errors import PARAM, too_large, unreachable
from auricle.serve.wire.errors import ApiError

_MAX_REDIRECTS = 3
_REDIRECTS = (301, 302, 303, 307, 308)
_HTTPS_PORT = 443
_FIRST_FREE_PORT = 1024  # below it lies what speaks no https, such as mail
_PIECE_BYTES = 2**16
_SAFE = "/?%:@!$&'()*+,;=~"  # RFC 3986: what may stand in a path or query beside letters and digits
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "auricle", "Connection": "close"}


class Fetcher:
    """Fetches by address. Every name is resolved once, all its addresses are checked, and one of them is connected to.

    No proxy is used, whatever the environment says. Certificates are checked for the name in the address.

    most_bytes: of one recording.
    timeout_s: for all of it: names, redirects, every byte.
    resolver: (host, port) -> (family, socket address) of each.
    allowed: whether an IP address may be connected to.
    context: checks certificates; the system's own where None.
    """

    def __init__(
        self,
        *,
        most_bytes: int,
        timeout_s: float,
        resolver: Callable[[str, int], Sequence[tuple[int, Any]]] = resolve,
        allowed: Callable[[str], bool] = is_public,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._most_bytes = most_bytes
        self._timeout_s = timeout_s
        self._resolver = resolver
        self._allowed = allowed
        self._context = context

    def fetch(self, url: str) -> BinaryIO:
        """What an address gives, in a temporary file at its start.

        Raises:
            ApiError: 400, it cannot be had; 413, it is too large.
        """
        deadline, at = time.monotonic() + self._timeout_s, url
        try:
            for _ in range(_MAX_REDIRECTS + 1):
                with self._answer(_checked(at), deadline) as answer:
                    if answer.status not in _REDIRECTS:
                        return self._content(answer, url)
                    at = urljoin(at, answer.headers.get("Location") or "")
        except (OSError, HTTPException, ValueError):  # ssl's errors are OSErrors; UnicodeError is a ValueError
            pass
        raise unreachable(url) from None

    @contextmanager
    def _answer(self, parts: SplitResult, deadline: float) -> Iterator[HTTPResponse]:
        """The head of a server's answer, and its body still to be read; ends at the deadline, whatever comes."""
        host, port = parts.hostname or "", parts.port or _HTTPS_PORT
        with ExitStack() as stack:
            connection = HTTPConnection(host, port)
            stack.callback(connection.close)
            connection.sock = sock = self._connect(host, port, deadline, stack)
            query = f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
            sock.do_handshake()
            connection.request(
                "GET", quote(parts.path or "/", safe=_SAFE) + query, headers=_HEADERS | {"Host": parts.netloc}
            )
            yield stack.enter_context(connection.getresponse())

    def _connect(self, host: str, port: int, deadline: float, stack: ExitStack) -> ssl.SSLSocket:
        """A connection to an address that was checked; the name is not looked up again."""
        addresses = _within(lambda: self._resolver(host, port), deadline)
        if not addresses or not all(self._allowed(address[0]) for _, address in addresses):
            raise OSError
        context = self._context or ssl.create_default_context()
        sock = stack.enter_context(_first_that_answers(addresses, deadline))
        secure = stack.enter_context(
            context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=False)
        )
        alarm = threading.Timer(_left(deadline), _cut, [secure])
        alarm.daemon = True
        alarm.start()
        stack.callback(alarm.cancel)
        return secure

    def _content(self, answer: HTTPResponse, url: str) -> BinaryIO:
        if answer.status != 200 or answer.headers.get("Content-Encoding", "identity") != "identity":
            raise ApiError(400, f"{unreachable(url).message}; it answered with status {answer.status}", param=PARAM)
        if answer.length is not None and answer.length > self._most_bytes:
            raise too_large(self._most_bytes)
        expected, num_bytes = answer.length, 0
        with ExitStack() as stack:
            file = stack.enter_context(tempfile.TemporaryFile())
            while piece := answer.read(_PIECE_BYTES):
                num_bytes += len(piece)
                if num_bytes > self._most_bytes:
                    raise too_large(self._most_bytes)
                file.write(piece)
            if expected not in (None, num_bytes):
                raise OSError
            file.seek(0)
            stack.pop_all()
            return file


def _checked(url: str) -> SplitResult:
    """Raise OSError for what is not fetched: another scheme, a name and password, a port of something else."""
    parts = urlsplit(url)
    port = parts.port or _HTTPS_PORT
    fits = parts.scheme == "https" and parts.hostname and "@" not in parts.netloc and parts.netloc.isascii()
    if not fits or not (port == _HTTPS_PORT or port >= _FIRST_FREE_PORT):
        raise OSError
    return parts


def _cut(secure: ssl.SSLSocket) -> None:
    """End a connection that another thread reads from."""
    with suppress(OSError):
        socket.socket.shutdown(secure, socket.SHUT_RDWR)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _first_that_answers(addresses: Sequence[tuple[int, Any]], deadline: float) -> socket.socket:
    for family, address in addresses:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(_left(deadline))
            sock.connect(address)
            return sock
        except OSError:
            sock.close()
    raise OSError


def _within(work: Callable[[], Any], deadline: float) -> Any:
    """The result of work that knows no time limit itself, such as the system's resolver."""
    results: SimpleQueue[Any] = SimpleQueue()

    def run() -> None:
        try:
            results.put(work())
        except Exception as error:
            results.put(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        result = results.get(timeout=_left(deadline))
    except Empty:
        raise TimeoutError from None
    if isinstance(result, Exception):
        raise result
    return result
