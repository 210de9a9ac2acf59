"""The process that decodes recordings: it hears of each over a socket, and forks for it a child with limits.

Started by `decoding_workers` as `python -m auricle.serve.sound.process FD`. What a stranger sent is opened in a
child alone, which may use so much memory and CPU time, and may open and write no file. A message is 4 bytes of length
and JSON; with one that asks for a recording come its file and the pipe that its sound goes into, as descriptors. Sound
goes back in frames: a letter, 4 bytes of length, what it holds.
"""

import ctypes
import gc
import io
import json
import logging
import os
import select
import signal
import socket
import struct
import sys
import traceback
import types
import wave
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import auricle
from auricle.errors import UserError

LENGTH = struct.Struct("<I")
FRAME = struct.Struct("<cI")
DURATION = struct.Struct("<d")  # s
SOUND, END, WARNING, REFUSED, NO_MEMORY, STATED = b"S", b"E", b"W", b"R", b"M", b"D"  # the letters of frames
_REAP_S = 1.0
_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h


def main() -> None:
    """Serve until the other end of the socket is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the server ends this process, when its own work is done
        signal.signal(number, signal.SIG_IGN)
    connection = socket.socket(fileno=int(sys.argv[1]))
    _leave_out_torch()
    _warm_up()
    gc.collect()
    gc.freeze()  # pages that children share stay shared
    children: dict[int, int] = {}
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    while True:
        ready = poll.poll(_REAP_S * 1000 if children else None)
        _reap(children)
        if ready:
            message, descriptors = _receive(connection)
            if message is None:
                break
            if "stop" in message:
                _kill(children.get(message["stop"]))
            else:
                children[message["job"]] = _fork(connection, message, descriptors)
    for child in children.values():
        _kill(child)


def _leave_out_torch() -> None:
    """Let modules of `auricle.audio` be imported without its others: torch would cost 2 s, 200 MB and slower forks."""
    room = types.ModuleType("auricle.audio")
    room.__path__ = [str(Path(auricle.__file__).with_name("audio"))]
    sys.modules["auricle.audio"] = room


def _warm_up() -> None:
    """Load what the first recording would load: a child opens no file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(8000)
        writer.writeframes(bytes(4000))
    file.seek(0)
    _stated_s(file, "silence")
    file.seek(0)
    list(_blocks(file, "silence"))


def _receive(connection: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """The next message and its descriptors; None at the end."""
    try:
        head, descriptors, _, _ = socket.recv_fds(connection, LENGTH.size, 2)
        if not head:
            return None, []
        with connection.makefile("rb", buffering=0) as rest:
            body = b""
            (length,) = LENGTH.unpack(head)
            while len(body) < length:
                piece = rest.read(length - len(body))
                if not piece:
                    return None, []
                body += piece
        return json.loads(body), descriptors
    except ConnectionError:
        return None, []


def _fork(connection: socket.socket, message: dict[str, Any], descriptors: list[int]) -> int:
    child = os.fork()
    if child:
        for descriptor in descriptors:
            os.close(descriptor)
        return child
    try:
        connection.close()
        os.setsid()
        _limit(message["memory_mb"], message["cpu_s"])
        _decode(descriptors[0], descriptors[1], message["name"])
    except BrokenPipeError:
        pass  # nobody listens any more
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _reap(children: dict[int, int]) -> None:
    for job, child in list(children.items()):
        with suppress(ChildProcessError):
            if os.waitpid(child, os.WNOHANG) == (0, 0):
                continue
            _kill_group(child)  # what it has started
        del children[job]


def _kill(child: int | None) -> None:
    """End a child; it has not been waited for, so its number is still its own."""
    if child is not None:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        _kill_group(child)


def _kill_group(child: int) -> None:
    """End what a child may have started; it leads a session of its own."""
    with suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, of a group of ended processes
        os.killpg(child, signal.SIGKILL)


def _limit(memory_mb: int, cpu_s: float) -> None:
    """Where a system does not know a limit (macOS: memory), the others hold all the same.

    Linux does not hold root to the limit on processes.
    """
    import resource  # not every system has it; the module itself is imported by the server

    seconds = max(1, round(cpu_s))
    limits = {"RLIMIT_CORE": 0, "RLIMIT_CPU": seconds, "RLIMIT_FSIZE": 0, "RLIMIT_NOFILE": 0, "RLIMIT_NPROC": 0}
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    with suppress(OSError), open("/proc/self/statm", "rb") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
        limits["RLIMIT_AS"] = used + memory_mb * 10**6
    for name, most in limits.items():
        with suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (most, most))


def _decode(file: int, pipe: int, name: str) -> None:
    """All of a recording's sound into the pipe, and how it ended."""
    logging.getLogger().handlers = [_ToServer(pipe)]
    try:
        stated_s = _stated_s(io.BufferedReader(_Recording(file)), name)
        if stated_s is not None:
            _write(pipe, STATED, DURATION.pack(stated_s))
        for block in _blocks(io.BufferedReader(_Recording(file)), name):
            _write(pipe, SOUND, np.ascontiguousarray(block, np.float32).tobytes())
        _write(pipe, END, b"")
    except UserError as error:
        _write(pipe, REFUSED, str(error).encode(errors="replace"))
    except MemoryError:
        _write(pipe, NO_MEMORY, b"")


def _stated_s(file: Any, name: str) -> float | None:
    from auricle.audio.decode import stated_duration_s

    return stated_duration_s(file, name)


def _blocks(file: Any, name: str) -> Iterator[np.ndarray]:
    from auricle.audio.decode import decode_blocks
    from auricle.audio.source import open_source

    with open_source(file) as start:
        yield from decode_blocks(start, name)


def _write(pipe: int, letter: bytes, content: bytes) -> None:
    rest = memoryview(FRAME.pack(letter, len(content)) + content)
    while rest:
        rest = rest[os.write(pipe, rest) :]


class _ToServer(logging.Handler):
    """What is worth a line in the server's log: a child may not write there itself."""

    def __init__(self, pipe: int) -> None:
        super().__init__(logging.WARNING)
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        _write(self._pipe, WARNING, record.getMessage().encode(errors="replace"))


class _Recording(io.RawIOBase):
    """A file by its descriptor, with a place of its own in it: others read the same one."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: os.fstat(self._descriptor).st_size}[whence]
        if base + offset < 0:
            raise ValueError("a place before the start of the file")
        self._place = base + offset
        return self._place

    def readinto(self, buffer: Any, /) -> int:
        piece = os.pread(self._descriptor, len(buffer), self._place)
        buffer[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)


if __name__ == "__main__":
    main()
