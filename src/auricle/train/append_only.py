"""JSON lines that only grow, one for every piece of work that is done."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from auricle.errors import UserError


class AppendOnly:
    """A file of JSON lines, each on disk before the next; one that a kill cut short is taken off at the next opening.

    lines: what stood in it when it was opened.

    Raises:
        UserError: the file holds what is no JSON, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO  # from `with` on
        self.lines: list[dict[str, Any]] = []

    def __enter__(self) -> "AppendOnly":
        whole = self._path.read_bytes() if self._path.exists() else b""
        whole = whole[: whole.rfind(b"\n") + 1]
        try:
            self.lines = [json.loads(line) for line in whole.split(b"\n")[:-1]]
        except ValueError as error:
            raise UserError(f"{self._path} is damaged: {error}; move it away and start again") from error
        self._file = self._path.open("ab")
        self._file.truncate(len(whole))
        return self

    def append(self, line: Mapping[str, object]) -> None:
        """On disk when this returns."""
        try:
            self._file.write((json.dumps(line, ensure_ascii=False) + "\n").encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise UserError(f"cannot write {self._path}: {error.strerror}; make room and start again") from error

    def __exit__(self, *_: object) -> None:
        self._file.close()
