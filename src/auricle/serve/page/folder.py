"""Where uploads lie: a folder of this process alone, of a limited size, which is gone with the process."""

import os
import shutil
import tempfile
import time
import weakref
from contextlib import suppress
from pathlib import Path

_PREFIX = "auricle-page-"
_LOCK = ".lock"
_NEW_S = 60  # so long a folder may not be locked yet


class Folder:
    """A new folder, locked as long as this process lives; those of processes that were killed are removed."""

    def __init__(self) -> None:
        import fcntl  # not every system has it; the module itself is imported by the server

        parent = Path(tempfile.gettempdir())
        for path in parent.glob(f"{_PREFIX}*/{_LOCK}"):
            _remove_dead(path)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
        lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        weakref.finalize(self, _remove, self.path, lock)  # at the latest when the process ends

    def make_room(self, num_bytes: int, *, most_bytes: int) -> None:
        """Remove the oldest files until so many bytes more fit; blocks. Who still reads one reads it to its end."""
        files = []
        for path in self.path.rglob("*"):
            with suppress(OSError):  # another thread, or gradio, removed it
                found = path.stat()
                if path.is_file() and path.name != _LOCK:
                    files.append((found.st_mtime, found.st_size, path))
        left = sum(size for _, size, _ in files) + num_bytes
        for _, size, path in sorted(files):
            if left <= most_bytes:
                return
            path.unlink(missing_ok=True)
            left -= size


def _remove(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def _remove_dead(lock: Path) -> None:
    """Nobody holds the lock of a folder whose process has ended, however it ended."""
    import fcntl

    with suppress(OSError):  # its process lives
        found = lock.lstat()
        if found.st_uid != os.getuid() or time.time() - found.st_mtime < _NEW_S:
            return
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
