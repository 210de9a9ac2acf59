"""The server as `auricle serve` runs it, in a thread or a process, and clients that misbehave."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from serving import PATIENCE_S, Running, until

from auricle.serve.app import create_app
from auricle.serve.gateway import Gateway
from auricle.serve.run import listen
from auricle.serve.run_server import Server
from auricle.serve.settings import ServeSettings

SPEECH = Path(__file__).parents[2] / "examples" / "recordings" / "librivox.flac"
START_S = 120.0  # a process that imports torch, on a machine with other work
TRANSCRIBE = "/v1/audio/transcriptions"


@contextmanager
def guarded(service: Any, **settings: Any) -> Iterator[Running]:
    """Like `serving.running`, with the server's own limits on connections."""
    gateway = Gateway(service, ServeSettings(**{"page": False, "port": 0, **settings}))
    with listen(gateway.settings) as sock:
        server = Server(gateway, create_app(gateway))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        try:
            until(lambda: server.started or not thread.is_alive())
            yield Running(f"http://127.0.0.1:{sock.getsockname()[1]}", gateway, server)
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)
            gateway.close()


class ServerProcess:
    """tests/serve/safe_server.py, which says what it is told to."""

    def __init__(self, process: "subprocess.Popen[str]", log: list[str]) -> None:
        self.process = process
        self.log = log
        self.url = self.line("listening on ").rpartition(" ")[2]

    def line(self, part: str) -> str:
        """The first line of its log that holds a text, once it is there."""
        until(lambda: any(part in line for line in self.log) or self.process.poll() is not None, within_s=START_S)
        return next((line.strip() for line in self.log if part in line), "\n".join(self.log))


@contextmanager
def server_process(settings: dict[str, Any] | None = None, **script: Any) -> Iterator[ServerProcess]:
    """A server in a process of its own; killed at the end, if it has not ended by then."""
    told = json.dumps({"settings": {"page": False, "port": 0, **(settings or {})}, **script})
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("safe_server.py")), told],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    log: list[str] = []
    reader = threading.Thread(target=lambda: log.extend(process.stderr or ()), daemon=True)  # line by line
    reader.start()
    try:
        yield ServerProcess(process, log)
    finally:
        process.kill()
        process.wait()
        reader.join(PATIENCE_S)
        if process.stderr:
            process.stderr.close()


def talk(url: str, request: bytes, *, then: Callable[[socket.socket], None] | None = None) -> bytes:
    """All that a server says to some bytes until it closes the connection."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as sock:
        with suppress(ConnectionError):
            sock.sendall(request)
            if then is not None:
                then(sock)
        answer = b""
        with suppress(ConnectionError):
            while piece := sock.recv(65536):
                answer += piece
        return answer


def open_files(pid: int | str = "self") -> int:
    """How many descriptors a process holds."""
    return len(os.listdir(f"/proc/{pid}/fd"))
