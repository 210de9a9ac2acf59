"""Requests that are too large, too slow, too deep or too many."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from safe_fixtures import SPEECH, TRANSCRIBE, guarded, open_files, talk
from serving import Running, ScriptedService, until

from auricle.serve import run_server
from auricle.serve.guard import limits

HEAD = f"POST {TRANSCRIBE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n".encode()
JSON = {"Content-Type": "application/json"}
PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'


@pytest.fixture(scope="module")
def small() -> Iterator[Running]:
    """A server that takes 1 MB."""
    with pytest.MonkeyPatch.context() as patch, guarded(ScriptedService(), max_upload_mb=1, max_body_mb=1) as started:
        patch.setattr(limits, "_LINGER_S", 0.3)
        yield started


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def error(answer: bytes) -> dict[str, Any]:
    return json.loads(answer.partition(b"\r\n\r\n")[2])["error"]


def endless(sock: socket.socket) -> None:
    """Chunks of 64 kB until the server is tired of them."""
    chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
    while True:
        sock.sendall(chunk)


def test_endless_upload_is_cut_off(small: Running):
    """Chunked, with no length said: it is counted as it comes."""
    start = time.monotonic()
    answer = talk(
        small.url,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n" % len(PART) + PART + b"\r\n",
        then=quietly(endless),
    )
    assert status(answer) == 413
    assert error(answer)["message"] == "the recording is larger than 1 MB, the limit here"
    assert b"connection: close" in answer
    assert time.monotonic() - start < 10


def quietly(then: Callable[[socket.socket], None]) -> Callable[[socket.socket], None]:
    """In a thread: the answer is read meanwhile, as clients do."""

    def run(sock: socket.socket) -> None:
        def body() -> None:
            with suppress(OSError):
                then(sock)

        threading.Thread(target=body, daemon=True).start()

    return run


def test_endless_json_is_cut_off(small: Running):
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    answer = talk(small.url, head + b"Transfer-Encoding: chunked\r\n\r\n", then=quietly(endless))
    assert status(answer) == 413
    assert error(answer)["message"] == "the request is larger than 1 MB, the limit here; send less"


def test_endless_form_around_a_small_recording_is_cut_off(small: Running):
    """The recording is small, what follows it is not."""
    whole = PART + b"RIFF\r\n" + b"--x\r\n" + b'Content-Disposition: form-data; name="prompt"; filename="b"\r\n\r\n'
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n" % len(whole) + whole + b"\r\n"
    assert status(talk(small.url, head, then=quietly(endless))) == 413


def test_huge_content_length_is_refused_before_it_comes(small: Running):
    """Not a byte of the body is waited for."""
    start = time.monotonic()
    answer = talk(small.url, HEAD + b"Content-Length: 999999999999\r\nExpect: 100-continue\r\n\r\n")
    assert status(answer) == 413
    assert b"100 Continue" not in answer
    assert time.monotonic() - start < 1.5


def test_lying_content_length_changes_nothing(small: Running):
    """Fewer bytes than said are waited for in vain and then given up; more are another request, and no good one."""
    body = PART + b"xx\r\n--x--\r\n"
    answer = talk(small.url, HEAD + b"Content-Length: 5\r\n\r\n" + body)
    assert answer.startswith(b"HTTP/1.1 400 ")

    def leave(sock: socket.socket) -> None:
        sock.shutdown(socket.SHUT_WR)

    assert status(talk(small.url, HEAD + b"Content-Length: 999999\r\n\r\n" + body, then=leave)) in (0, 400, 408)


def test_slow_upload_is_cut_off_and_a_steady_one_is_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "_LINGER_S", 0.1)
    with guarded(ScriptedService(), body_timeout_s=0.3) as server:
        start = time.monotonic()
        answer = talk(server.url, HEAD + b"Content-Length: 100000\r\n\r\n" + PART, then=quietly(trickle))
        assert status(answer) == 408
        assert "the request's body came too slowly" in error(answer)["message"]
        assert time.monotonic() - start < 5

        def steady() -> Iterator[bytes]:
            form = httpx.Request(
                "POST", server.url, files={"file": ("a.flac", SPEECH.read_bytes())}, data={"model": "m"}
            )
            whole = form.read()
            headers.update(form.headers)
            for at in range(0, len(whole), 8000):
                yield whole[at : at + 8000]
                time.sleep(0.03)

        headers: dict[str, str] = {}
        body = list(steady())
        del headers["host"]
        until(lambda: server.gateway.decoder.start() is None)

        def again() -> Iterator[bytes]:
            for piece in body:
                yield piece
                time.sleep(0.6 / len(body))  # 0.6 s in all, longer than what an empty body may take

        with server.http() as client:
            assert client.post(TRANSCRIBE, content=again(), headers=headers).status_code == 200


def trickle(sock: socket.socket) -> None:
    while True:
        sock.sendall(b"x")
        time.sleep(0.05)


def test_slow_headers_are_cut_off(monkeypatch: pytest.MonkeyPatch):
    """Slowloris: connections that never finish their head."""
    monkeypatch.setattr(run_server, "_HEAD_TIMEOUT_S", 0.3)
    with guarded(ScriptedService()) as server:
        before = open_files()
        for begun in (b"", b"GET /heal", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: "):
            start = time.monotonic()
            assert talk(server.url, begun, then=quietly(trickle) if begun else None) == b""
            assert 0.2 < time.monotonic() - start < 5
        second = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /health HTTP/1.1\r\nX-"
        start = time.monotonic()
        assert talk(server.url, second, then=quietly(trickle)).count(b"200 OK") == 1
        assert time.monotonic() - start < 5
        until(lambda: open_files() <= before)
        with server.http() as client:  # one that is only quiet between two requests is not
            assert client.get("/health").status_code == 200


def test_endless_headers_are_cut_off(small: Running):
    def headers(sock: socket.socket) -> None:
        while True:
            sock.sendall(b"X-Padding: " + b"x" * 1000 + b"\r\n")

    answer = talk(small.url, b"GET /health HTTP/1.1\r\n", then=quietly(headers))
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


def test_endless_trailers_are_not_kept(small: Running):
    """Headers after a chunked body count for nothing, and are held nowhere."""
    connections = small.server.server_state.connections

    def trailers(sock: socket.socket) -> None:
        sock.sendall(b"A: b\r\n" * 10_000)
        until(lambda: any(connection.cycle is not None and not connection.cycle.body for connection in connections))
        time.sleep(0.1)
        num_headers.extend(len(connection.headers) for connection in connections if connection.headers)
        sock.shutdown(socket.SHUT_WR)

    num_headers: list[int] = []
    talk(small.url, HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n--\r\n0\r\n", then=trailers)
    assert num_headers
    assert max(num_headers) <= 20


def test_memory_for_all_bodies_together_is_bounded(monkeypatch: pytest.MonkeyPatch):
    """Each is small enough, but they come at once and never end."""
    monkeypatch.setattr(limits, "_BODIES_AT_ONCE", 2)
    monkeypatch.setattr(limits, "_LINGER_S", 0.1)
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with guarded(ScriptedService(), max_body_mb=1) as server:
        open_ones = []
        try:
            for _ in range(2):
                sock = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])))
                sock.sendall(head + b"Content-Length: 1000000\r\n\r\n" + b"[" + b" " * 950_000)
                open_ones.append(sock)
            time.sleep(0.3)
            third = head + b"Content-Length: 300000\r\n\r\n" + b" " * 200_000
            answer = talk(server.url, third)
            assert status(answer) == 429
            assert b"retry-after: " in answer
            assert "the requests that came hold too much memory" in error(answer)["message"]
        finally:
            for sock in open_ones:
                sock.close()
        with server.http() as client:
            until(
                lambda: (
                    client.post("/v1/chat/completions", content=b"[" + b" " * 900_000, headers=JSON).status_code == 400
                )
            )


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000,
        b'{"a":' * 100_000,
        b'{"messages":' + b"[" * 90_000 + b"]" * 90_000 + b"}",
        b'{"temperature":' + b"9" * 900_000 + b"}",
        b'{"temperature": 1e999999, "messages": []}',
        b'{"temperature": NaN, "messages": [{"role": "user", "content": "x"}]}',
        b'{"messages": "\\ud800"}',
        b"\xff\xfe\x00",
        b'{"a":1}' * 100_000,
        b"{" + b",".join(b'"%d":0' % n for n in range(90_000)) + b"}",
        b"null",
        b"",
    ],
)
def test_deep_and_huge_json_is_refused(small: Running, body: bytes):
    with small.http() as client:
        answer = client.post("/v1/chat/completions", content=body, headers=JSON)
        assert answer.status_code == 400
        assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_million_form_fields_are_refused(small: Running):
    field = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
    for body in (field * 15_000, PART * 10_000, b"--x\r\n" + b"A: b\r\n" * 100_000):
        with small.http() as client:
            headers = {"Content-Type": "multipart/form-data; boundary=x"}
            assert client.post(TRANSCRIBE, content=body, headers=headers).status_code in (400, 413)


def test_an_early_answer_is_seen_by_a_client_that_still_sends(small: Running):
    """The connection is not reset under it."""
    with small.http() as client:
        for _ in range(3):
            answer = client.post("/nothing", content=bytes(900_000))
            assert answer.status_code == 404
            large = client.post("/v1/chat/completions", content=bytes(30_000_000), headers=JSON)
            assert large.status_code == 413


def test_nothing_is_left_of_bodies_that_were_refused(small: Running):
    with small.http() as client:
        client.post("/v1/chat/completions", content=bytes(2_000_000), headers=JSON)
        client.post(TRANSCRIBE, content=bytes(2_000_000))
    app: Any = small.server.config.app
    while not isinstance(app, limits.Limits):
        app = getattr(app, "middleware_stack", None) or app.__dict__.get("app") or app.__dict__["_app"]
    until(lambda: app._uploads.held_bytes == app._others.held_bytes == 0)
