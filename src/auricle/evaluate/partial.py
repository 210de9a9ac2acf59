"""A file that is not whole yet: its bytes so far, and what they were begun from."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from auricle.errors import UserError


@dataclass(frozen=True, slots=True)
class Origin:
    """What a part was begun from. validator: the server's mark of these bytes, for If-Range; empty where it has none.

    num_bytes: of the whole file, where the server said so.
    """

    url: str
    validator: str
    num_bytes: int | None


class Part:
    """The bytes so far and their origin, on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path.open("a+b")
        self._note = path.with_name(f"{path.name}.json")

    @property
    def num_bytes(self) -> int:
        """How many there are."""
        return os.fstat(self.file.fileno()).st_size

    def origin(self) -> Origin | None:
        """What they were begun from; None where that is not known."""
        try:
            return Origin(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def start_over(self, origin: Origin | None = None) -> None:
        """Drop them, and note what the next ones are begun from."""
        self.file.truncate(0)  # first: bytes never stand beside the note of others
        self._note.unlink(missing_ok=True)
        if origin is not None:
            self._note.write_text(json.dumps(asdict(origin)), encoding="utf-8")

    def append(self, block: bytes) -> None:
        """Add what came, out of our hands when this returns."""
        self.file.write(block)
        self.file.flush()

    def checksum(self, algorithm: str) -> str:
        """Of all of them, in hexadecimal; algorithm as hashlib names it."""
        self.file.seek(0)
        return hashlib.file_digest(self.file, algorithm).hexdigest()

    def becomes(self, target: Path) -> None:
        """Give the whole file its name."""
        os.fsync(self.file.fileno())
        os.replace(self.path, target)
        self._note.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of it; one without a byte is removed."""
        if self.path.exists() and not self.num_bytes:
            self.start_over()
            self.path.unlink()
        self.file.close()


@contextmanager
def held(target: Path) -> Iterator[Part]:
    """The part of a file, kept to this process; one that ends, however it ends, lets go of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Part(target.with_name(f"{target.name}.part"))
    try:
        fcntl.flock(part.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        part.file.close()
        raise UserError(f"{target} is being downloaded by another process; wait for it") from error
    try:
        yield part
    finally:
        part.close()
