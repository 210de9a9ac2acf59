"""What a recording may be given as, what messages call it, and how its bytes are reached."""

import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import Any, Protocol

import numpy as np

from auricle.errors import UserError

STANDARD_INPUT = "-"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # two letters or more: `C:/` is a drive
_IN_MEMORY_BYTES = 2**24  # of a stream; a longer one is kept on disk
_PIECE_BYTES = 2**20
READ_ERRORS = (OSError, ValueError, TypeError)  # a broken disk or pipe; a closed file; one that gives text


class Readable(Protocol):
    """A file object in binary mode: an open file, a BytesIO, `sys.stdin.buffer`, the body of an HTTP answer."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A recording that somebody else decodes, another process for example.

    name: what messages call it.
    blocks: float32 [samples] at 16 kHz, in order; called once, raises UserError where the recording cannot be heard.
    """

    name: str
    blocks: Callable[[], Iterator[np.ndarray]]


Source = str | os.PathLike[str] | bytes | Readable | tuple[np.ndarray, int] | Decoded


def name_of(source: Source) -> str:
    """What messages call a recording."""
    if isinstance(source, Decoded):
        return source.name
    if isinstance(source, tuple):
        return "the array"
    if isinstance(source, str | os.PathLike):
        path = os.fsdecode(source)
        return "standard input" if path == STANDARD_INPUT else path
    return "the recording"


@contextmanager
def open_source(source: str | os.PathLike[str] | bytes | Readable) -> Iterator[Any]:
    """A recording as a binary file at its start that can seek; a stream that cannot is read to its end first.

    A file object is read from where it stands, and left open.

    Raises:
        UserError: there is nothing to read, or it cannot be read.
    """
    name = name_of(source)
    if isinstance(source, str | os.PathLike) and name != "standard input":
        with _open_path(name) as file, _seekable(file, name) as start:
            yield start
    else:
        with _seekable(_file_object(source), name) as start:
            yield start


def cannot_read(name: str, error: Exception) -> UserError:
    """The sentence for a file that breaks while it is read."""
    reason = getattr(error, "strerror", None) or str(error).rstrip(".")
    return UserError(f"cannot read {name}: {reason}; expected an open file of bytes")


def _open_path(path: str) -> io.BufferedReader:
    try:
        return open(path, "rb")
    except IsADirectoryError:
        raise UserError(f"{path} is a directory, expected an audio file; name the files in it") from None
    except PermissionError:
        raise UserError(f"cannot read {path}: no permission; allow reading it") from None
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a name that no system could hold
        if _URL.match(path):
            raise UserError(f"{path} is an address, which is not fetched; download it and give the file") from None
        raise UserError(f"no such file: {path}; check the path") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the path") from None


def _file_object(source: object) -> Any:
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source)
    if isinstance(source, str | os.PathLike):
        if sys.stdin is None:
            raise UserError("standard input is closed; pipe a recording into it")
        return getattr(sys.stdin, "buffer", sys.stdin)
    if not hasattr(source, "read"):
        hint = "; give an array together with its rate" if isinstance(source, np.ndarray) else ""
        raise UserError(
            f"a recording is a path, bytes, a binary file object or (array, rate): got {type(source).__name__}{hint}"
        )
    return source


@contextmanager
def _seekable(file: Any, name: str) -> Iterator[Any]:
    with ExitStack() as stack:
        try:
            position, start = _position(file), file
            if position != 0:
                start = stack.enter_context(SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES))
                while piece := _read(file, _PIECE_BYTES, name):
                    start.write(piece)
                start.seek(0)
            head = _read(start, 1, name)
            start.seek(0)
        except READ_ERRORS as error:
            raise cannot_read(name, error) from error
        if not head:
            hint = f"; it stands at byte {position}, rewind it with seek(0)" if position else ""
            raise UserError(f"{name} is empty (0 bytes), expected an audio file{hint}")
        yield start


def _position(file: Any) -> int | None:
    """None where a file cannot go back."""
    seekable = getattr(file, "seekable", None)
    return file.tell() if seekable is not None and seekable() else None


def _read(file: Any, size: int, name: str) -> bytes:
    piece = file.read(size)
    if not isinstance(piece, bytes | bytearray | memoryview):
        kind = type(piece).__name__
        raise UserError(f"reading {name} gives {kind}, expected bytes; open the file in binary mode, 'rb'")
    return bytes(piece)
