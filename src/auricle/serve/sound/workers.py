"""The server's end of `decoder_process`: starts it, tells it of recordings, reads their sound from pipes."""

import itertools
import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from auricle.errors import UserError

_ENVIRONMENT = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LC_ALL",
)
_LONGEST_FRAME = 2**22  # bytes; ours are of a second, 64 kB
_SEND_S = 10.0  # a process that does not take a message for so long is given up
_DEATH_S = 0.3  # between a process's pipes being closed and its death being known


class WorkerDiedError(Exception):
    """A recording's process ended without a word."""


@dataclass(frozen=True, slots=True)
class Limits:
    """For one recording. timeout_s: the longest wait for its next second of sound."""

    memory_mb: int
    cpu_s: float
    timeout_s: float


class Workers:
    """One process that forks for each recording; started at the first one or by `start`, and again where it died.

    A process of its own, because the server runs threads and must not fork; its environment holds none of the server's
    keys.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None

    def start(self) -> None:
        """Start the process, so that the first recording need not wait for it.

        Raises:
            UserError: this system cannot fork, or cannot hand on open files.
        """
        with self._lock:
            self._ready()

    def frames(self, file: int, name: str, limits: Limits) -> Generator[tuple[bytes, bytes], None, None]:
        """Letters and contents, as in `decoder_process`, of the recording in an open file.

        Where the iterator is closed, the recording's process is ended.

        Raises:
            WorkerDiedError: its process crashed, or took more than it may.
            TimeoutError: it said nothing for too long.
        """
        for is_last in (False, True):
            has_begun = False
            job, pipe = self._hand_over(file, name, limits)
            try:
                for frame in _read_frames(pipe, limits.timeout_s):
                    has_begun = True
                    yield frame
            except WorkerDiedError:
                if is_last or has_begun or not self._has_died():
                    raise
            finally:
                os.close(pipe)
                self._stop(job)

    def close(self) -> None:
        """End the process and its children."""
        with self._lock:
            self._end()

    @property
    def pid(self) -> int | None:
        """The process, where it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def _has_died(self) -> bool:
        """Whether the process that forks is gone itself: then it is nothing about the recording."""
        process = self._process
        with suppress(subprocess.TimeoutExpired):
            return process is None or process.wait(_DEATH_S) is not None
        return False

    def _hand_over(self, file: int, name: str, limits: Limits) -> tuple[int, int]:
        job = next(self._numbers)
        message = {"job": job, "name": name, "memory_mb": limits.memory_mb, "cpu_s": limits.cpu_s}
        ours, theirs = os.pipe()
        try:
            with self._lock:
                for _ in range(2):  # it may have died since the last time
                    with suppress(OSError):
                        _send(self._ready(), message, [file, theirs])
                        return job, ours
                    self._end()
            raise WorkerDiedError
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)

    def _stop(self, job: int) -> None:
        with self._lock, suppress(OSError):
            if self._connection is not None:
                _send(self._connection, {"stop": job}, [])

    def _ready(self) -> socket.socket:
        """The connection to a process that lives; the lock is held."""
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._connection is None:
            if not (hasattr(os, "fork") and hasattr(socket, "send_fds")):
                raise UserError(f"recordings are decoded in forked processes, which {sys.platform} lacks; use Linux")
            ours, theirs = socket.socketpair()
            ours.settimeout(_SEND_S)
            environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "auricle.serve.sound.process", str(theirs.fileno())],
                    env=environment
                    | {"OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"},  # no code of the working directory
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C in a terminal is for the server, which finishes what runs
                )
            self._connection = ours
        return self._connection

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)  # it ends its children when the connection is gone
            self._process.kill()
            self._process.wait()
        self._connection = self._process = None


def _send(connection: socket.socket, message: dict[str, Any], descriptors: list[int]) -> None:
    body = json.dumps(message).encode()
    whole = len(body).to_bytes(4, "little") + body
    if socket.send_fds(connection, [whole], descriptors) != len(whole):
        raise OSError("only a part of a message was taken")


def _read_frames(pipe: int, timeout_s: float) -> Iterator[tuple[bytes, bytes]]:
    """A child may be in a stranger's hands: what it sends is checked."""
    while True:
        head = _read(pipe, 5, timeout_s)
        letter, length = head[:1], int.from_bytes(head[1:], "little")
        if length > _LONGEST_FRAME:
            raise WorkerDiedError
        yield letter, _read(pipe, length, timeout_s)


def _read(pipe: int, num_bytes: int, timeout_s: float) -> bytes:
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    content = bytearray()
    while len(content) < num_bytes:
        if not poll.poll(timeout_s * 1000):
            raise TimeoutError
        piece = os.read(pipe, num_bytes - len(content))
        if not piece:
            raise WorkerDiedError
        content += piece
    return bytes(content)
