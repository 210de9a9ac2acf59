"""An HTTP server of this machine that behaves as well or as badly as a test wants it to."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """One file, and how it is given.

    etag, modified: sent with it, where not empty. ranges: whether Range is understood. honest_ranges: whether If-Range
    is. cut_after: of each answer only so many bytes come, then the connection ends; the next entry is for the next
    answer, the last one for all that follow. statuses: of the first answers, before those with the file. chunked:
    without a length. says: a length that is not the true one.
    """

    body: bytes
    etag: str = '"one"'
    modified: str = ""
    ranges: bool = True
    honest_ranges: bool = True
    cut_after: list[int | None] = field(default_factory=lambda: [None])
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    says: int | None = None
    has_length: bool = True
    wrong_start: bool = False


class Server:
    """`files` by path; `asked` holds the path and the Range of every request."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.files: dict[str, Served] = {}
        self.asked: list[tuple[str, str | None]] = []

    def url(self, path: str) -> str:
        return f"{self.address}/{path}"


@contextmanager
def serve() -> Iterator[Server]:
    """The server, until the block ends."""
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    httpd.daemon_threads = True
    httpd.state = Server(httpd.server_address[1])  # type: ignore[attr-defined]
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield httpd.state  # type: ignore[attr-defined]
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        state: Server = self.server.state  # type: ignore[attr-defined]
        path = self.path.lstrip("/")
        state.asked.append((path, self.headers["Range"]))
        served = state.files.get(path)
        if served is None:
            self.send_error(404)
        elif served.statuses:
            self.send_response(served.statuses.pop(0))
            for name, value in served.headers.items():
                self.send_header(name, value)
            self.end_headers()
        else:
            self._give(served)

    def _give(self, served: Served) -> None:
        start = self._start(served)
        if start > 0 and start >= len(served.body):
            self.send_response(416)
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            said = start + 1 if served.wrong_start else start
            self.send_header("Content-Range", f"bytes {said}-{len(served.body) - 1}/{len(served.body)}")
        if served.has_length:
            self.send_header("Content-Length", str(served.says or len(served.body) - start))
        for name, value in (("ETag", served.etag), ("Last-Modified", served.modified)):
            if value:
                self.send_header(name, value)
        self.end_headers()
        cut = served.cut_after.pop(0) if len(served.cut_after) > 1 else served.cut_after[0]
        rest = served.body[start:]
        self.wfile.write(rest if cut is None else rest[:cut])

    def _start(self, served: Served) -> int:
        asked, condition = self.headers["Range"], self.headers["If-Range"]
        if not asked or not served.ranges:
            return 0
        if served.honest_ranges and condition not in (None, served.etag or served.modified):
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""
