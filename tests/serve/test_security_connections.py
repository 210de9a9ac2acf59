"""Clients that vanish while they wait, that stop reading, or that open more connections than there may be."""

import errno
import json
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from safe_fixtures import TRANSCRIBE, guarded, talk
from serving import PATIENCE_S, Running, ScriptedService, until

from auricle.serve import run, run_server
from auricle.serve.guard import connection

CHAT = {"messages": [{"role": "user", "content": "hi"}]}


def asking(url: str, *, stream: bool = False, buffer_bytes: int | None = None) -> socket.socket:
    """A connection that has sent a question and read nothing."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    sock = socket.socket()
    if buffer_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    sock.connect((host, int(port)))
    body = json.dumps(CHAT | {"stream": stream}).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return sock


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    opened = threading.Event()
    yield opened
    opened.set()


def test_who_vanishes_from_the_queue_leaves_its_place(gate: threading.Event):
    service = ScriptedService(gate=gate)
    with guarded(service, max_concurrency=1, max_queue=2) as running, ExitStack() as stack:
        admission = running.gateway.admission
        first = stack.enter_context(closing(asking(running.url)))
        until(lambda: admission.running == 1)
        waiting = [asking(running.url) for _ in range(2)]
        until(lambda: admission.waiting == 2)
        with running.http() as http:
            assert http.post("/v1/chat/completions", json=CHAT).status_code == 429
        for sock in waiting:
            sock.close()
        until(lambda: admission.waiting == 0)
        assert admission.running == 1
        later = stack.enter_context(closing(asking(running.url)))
        until(lambda: admission.waiting == 1)
        gate.set()
        for sock in (first, later):
            sock.settimeout(PATIENCE_S)
            assert sock.recv(12) == b"HTTP/1.1 200"
        until(lambda: admission.running == 0)
        assert len(service.asked) == 2


def test_a_reader_that_stops_loses_its_turn(monkeypatch: pytest.MonkeyPatch):
    """More than the buffers on the way hold, to one that reads nothing; one that reads gets all of it."""
    monkeypatch.setattr(run_server, "_SEND_TIMEOUT_S", 0.5)
    service = ScriptedService(pieces=["x" * 2**20] * 12)
    with guarded(service, max_concurrency=1) as running:
        with closing(asking(running.url, stream=True, buffer_bytes=4096)):
            until(lambda: service.asked)
            time.sleep(0.2)
            assert running.gateway.admission.running == 1
            until(lambda: running.gateway.admission.running == 0)
            until(lambda: not running.server.server_state.connections)
        with (
            running.http() as http,
            http.stream("POST", "/v1/chat/completions", json=CHAT | {"stream": True}) as answer,
        ):
            num_bytes = 0
            for piece in answer.iter_raw(2**18):
                num_bytes += len(piece)
                time.sleep(0.02)  # slow is not stopped
            assert num_bytes > 12 * 2**20
            assert answer.headers["x-accel-buffering"] == "no"


def test_one_connection_too_many_is_told_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run_server, "most_connections", lambda: 2)
    with guarded(ScriptedService()) as running, running.http() as one, running.http() as other:
        assert [client.get("/health").status_code for client in (one, other)] == [200, 200]
        answer = talk(running.url, b"")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 Service Unavailable")
        assert b"Retry-After: 1" in head
        assert json.loads(body)["error"]["type"] == "server_error"
        assert one.get("/health").status_code == 200
        other.close()
        until(lambda: len(running.server.server_state.connections) == 1)
        with running.http() as third:
            assert third.get("/health").status_code == 200


def test_connections_leave_room_for_other_files(monkeypatch: pytest.MonkeyPatch):
    def limited(soft: int) -> int:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
        return connection.most_connections()

    assert all(3 * limited(soft) < soft - 50 for soft in (128, 1024, 2**20))
    assert limited(1024) > 256
    assert limited(resource.RLIM_INFINITY) >= 2**16
    assert limited(10) > 1


def test_the_server_takes_all_the_files_it_may(monkeypatch: pytest.MonkeyPatch):
    told: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: told.append((which, limits)))
    monkeypatch.setattr("auricle.engines.open.open_service", lambda *_, **__: ScriptedService())
    monkeypatch.setattr(run, "serve", lambda *_: True)
    assert run.run_server("mini", run.ServeSettings(port=0, page=False))
    assert told == [(resource.RLIMIT_NOFILE, (4096, 4096))]


def test_no_file_left_is_busy_and_nothing_else_is(running: Running, monkeypatch: pytest.MonkeyPatch):
    def failing(number: int) -> Callable[..., None]:
        def fail(*_: object, **__: object) -> None:
            raise OSError(number, "no")

        return fail

    with running.http() as http:
        for number, status in ((errno.EMFILE, 429), (errno.ENFILE, 429), (errno.EIO, 500)):
            with monkeypatch.context() as patch:
                patch.setattr(os, "pipe", failing(number))
                answer = http.post(TRANSCRIBE, files={"file": ("a.wav", b"RIFF" * 100)})
            assert answer.status_code == status
            assert ("retry-after" in answer.headers) == (status == 429)
            assert answer.json()["error"]["type"] == ("rate_limit_error" if status == 429 else "server_error")


@pytest.fixture
def running() -> Iterator[Running]:
    with guarded(ScriptedService()) as started:
        yield started
