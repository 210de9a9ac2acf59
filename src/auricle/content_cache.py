"""What was computed once, kept on disk by the hash of what it was computed from."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from auricle.errors import UserError

_ASKED = 500  # keys in one query; SQLite allows 999 and more
_PATIENCE_S = 60.0  # that one process waits for another's write


class ContentCache:
    """Texts by key in one SQLite file. A write is there whole or not at all, whenever the process is killed.

    Several processes of one machine may share the file. What a key holds never changes: the first write stays.

    Raises:
        UserError: the file is none of ours, or there is no room to write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._sentences():
            self._connection = sqlite3.connect(path, timeout=_PATIENCE_S)
            with self._connection:
                self._connection.execute("CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value TEXT NOT NULL)")

    def get(self, keys: Iterable[str]) -> dict[str, str]:
        """What is known of them."""
        wanted = list(dict.fromkeys(keys))
        found: dict[str, str] = {}
        with self._sentences():
            for start in range(0, len(wanted), _ASKED):
                some = wanted[start : start + _ASKED]
                marks = ",".join("?" * len(some))
                found |= dict(self._connection.execute(f"SELECT key, value FROM kept WHERE key IN ({marks})", some))
        return found

    def put(self, items: Mapping[str, str]) -> None:
        """Write all of them, on disk when this returns."""
        with self._sentences(), self._connection:
            self._connection.executemany("INSERT OR IGNORE INTO kept VALUES (?, ?)", items.items())

    def __len__(self) -> int:
        with self._sentences():
            return int(self._connection.execute("SELECT COUNT(*) FROM kept").fetchone()[0])

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise UserError(
                f"the cache {self.path} cannot be used: {error}; make room on its disk, or delete a file that is none"
            ) from error
