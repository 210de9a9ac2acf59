"""The server's end: SIGTERM finishes what runs and waits, a second one does not."""

import json
import os
import signal
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from safe_fixtures import SPEECH, TRANSCRIBE, server_process
from serving import until

SLOW = {"pieces": ["word "] * 10, "step_s": 0.15}


def transcribe(url: str, **fields: str) -> httpx.Response:
    form = {"model": "m", "chunking_strategy": "auto"} | fields
    return httpx.post(url + TRANSCRIBE, files={"file": ("a.flac", SPEECH.read_bytes())}, data=form, timeout=60)


def warm(url: str) -> None:
    """The first one waits for the decoder and the voice detector."""
    assert transcribe(url).status_code == 200


def drain(url: str) -> None:
    until(lambda: httpx.get(url + "/health").status_code == 503)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_finishes_running_and_waiting_requests(number: signal.Signals):
    """One plain and one stream run, two wait; new ones are answered 503 meanwhile; then it ends with 0."""
    with server_process({"max_concurrency": 2}, **SLOW) as server, ThreadPoolExecutor(8) as threads:
        warm(server.url)
        taken: list[Future[httpx.Response]] = []
        for stream in ("false", "true", "false", "true"):
            taken.append(threads.submit(transcribe, server.url, stream=stream))
            time.sleep(0.1)
        time.sleep(0.5)
        server.process.send_signal(number)
        drain(server.url)
        health = httpx.get(server.url + "/health")
        assert health.headers["connection"] == "close"
        refused = transcribe(server.url)
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert refused.json()["error"]["type"] == "server_error"
        for answer, stream in zip([one.result() for one in taken], (False, True, False, True), strict=True):
            assert answer.status_code == 200
            if stream:
                events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
                assert events[-1]["type"] == "transcript.text.done"
                assert events[-1]["text"].split() == ["word"] * 10
            else:
                assert answer.json()["text"].split() == ["word"] * 10
        assert server.process.wait(20) == 0
        assert server.line("unpickled").endswith("closed True; finished True")


@pytest.mark.slow
def test_a_second_sigterm_ends_at_once():
    with server_process(pieces=["word "] * 1000, step_s=0.1) as server, ThreadPoolExecutor(1) as threads:
        lost = threads.submit(transcribe, server.url, stream="true")
        until(lambda: _running(server.url))
        server.process.terminate()
        drain(server.url)
        assert server.process.poll() is None
        start = time.monotonic()
        server.process.terminate()
        assert server.process.wait(20) == 1
        assert time.monotonic() - start < 10
        with pytest.raises(httpx.HTTPError):
            lost.result().read()


@pytest.mark.slow
def test_the_drain_has_its_time_limit():
    with server_process({"drain_timeout_s": 1}, pieces=["word "] * 1000, step_s=0.1) as server:
        with ThreadPoolExecutor(1) as threads:
            lost = threads.submit(transcribe, server.url)
            until(lambda: _running(server.url))
            start = time.monotonic()
            server.process.terminate()
            assert server.process.wait(20) == 1
            assert time.monotonic() - start > 0.9
            with pytest.raises(httpx.HTTPError):
                lost.result()
        assert "requests still run after drain_timeout_s" in server.line("still run")


def _running(url: str) -> bool:
    """Whether a request is worked on."""
    metrics = httpx.get(url + "/metrics").text
    return any(
        line.startswith("auricle_") and "running" in line and line.endswith(" 1.0") for line in metrics.splitlines()
    )


@pytest.mark.slow
def test_a_server_with_nothing_to_do_ends_soon_and_leaves_no_process():
    with server_process() as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert int(server.url.rpartition(":")[2]) > 1023  # asked for 0
        pid = server.process.pid
        until(lambda: _children(pid))
        decoders = _children(pid)
        idle = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])))
        with idle:
            server.process.terminate()
            assert server.process.wait(20) == 0
        until(lambda: not any(Path(f"/proc/{child}").exists() for child in decoders))


@pytest.mark.slow
def test_decoders_end_with_a_server_that_is_killed():
    with server_process() as server:
        until(lambda: _children(server.process.pid))
        decoders = _children(server.process.pid)
        os.kill(server.process.pid, signal.SIGKILL)
        until(lambda: not any(Path(f"/proc/{child}").exists() for child in decoders))


def _children(pid: int) -> list[str]:
    return [child for task in os.listdir(f"/proc/{pid}/task") for child in _of_task(pid, task)]


def _of_task(pid: int, task: str) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{task}/children").read_text().split()
    except OSError:
        return []
