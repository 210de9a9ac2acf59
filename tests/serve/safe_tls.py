"""A web server over TLS on this machine, under the names of its certificate, that answers as badly as it is told to."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from auricle.serve.sound.fetch import Fetcher

# For recordings.test and other.test, signed by itself, made for these tests alone: openssl req -x509 -newkey ec ...
PEM = Path(__file__).with_name("recordings_test.pem")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    length: str
    pause_s: float


@dataclass
class Site:
    """port: where it listens, on 127.0.0.1. asked: the headers of every request. resolved: every name looked up."""

    port: int
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)

    def url(self, path: str, host: str = "recordings.test") -> str:
        return f"https://{host}:{self.port}{path}"

    def serve(self, path: str, body: bytes, *, status: int = 200, length: str = "said", pause_s: float = 0) -> None:
        self.answers[path] = Answer(status, {}, body, length, pause_s)

    def redirect(self, path: str, to: str, status: int = 302) -> None:
        self.answers[path] = Answer(status, {"Location": to}, b"", "said", 0)

    def fetcher(self, *, addresses: Callable[[str], list[str]] | None = None, **options: Any) -> Fetcher:
        """One that finds this server under its names, and may connect to 127.0.0.1."""

        def resolve(host: str, port: int) -> list[tuple[int, Any]]:
            self.resolved.append(host)
            found = ["127.0.0.1"] if addresses is None else addresses(host)
            return [(socket.AF_INET6 if ":" in ip else socket.AF_INET, (ip, port)) for ip in found]

        given: dict[str, Any] = {
            "most_bytes": 10**6,
            "timeout_s": 10,
            "resolver": resolve,
            "allowed": lambda ip: ip == "127.0.0.1",
            "context": ssl.create_default_context(cafile=str(PEM)),
        }
        return Fetcher(**(given | options))


@pytest.fixture
def site() -> Iterator[Site]:
    """A server of the test's own."""
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    httpd.daemon_threads = True
    httpd.handle_error = lambda *_: None  # type: ignore[method-assign]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True, do_handshake_on_connect=False)
    made = Site(httpd.server_address[1])
    httpd.site = made  # type: ignore[attr-defined]
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5

    def do_GET(self) -> None:
        site: Site = self.server.site  # type: ignore[attr-defined]
        site.asked.append(dict(self.headers))
        answer = site.answers[self.path]
        if answer.length == "no answer":
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.length in ("said", "cut", "compressed"):
            self.send_header("Content-Length", str(len(answer.body) + (answer.length == "cut")))
        if answer.length == "compressed":
            self.send_header("Content-Encoding", "gzip")
        chunked = answer.length in ("chunked", "cut chunk")
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(0, len(answer.body), 10_000):
            piece = answer.body[at : at + 10_000]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            time.sleep(answer.pause_s)
        if answer.length == "chunked":
            self.wfile.write(b"0\r\n\r\n")
        if answer.length in ("cut", "cut chunk", "until the end"):
            self.close_connection = True
            if answer.length == "until the end":
                self.connection.unwrap()  # type: ignore[attr-defined]

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""
