"""JSON lines that only grow: each is there whole or not at all, and a run that goes on cuts what it does again."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from auricle.errors import UserError


class Lines:
    """A jsonl file whose lines carry a `step` that never falls.

    Numbers that JSON has not are written as the texts `nan`, `inf` and `-inf`, which `float()` reads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, values: Mapping[str, Any]) -> None:
        """One more line, handed to the system before this returns.

        Raises:
            UserError: the disk is full, or the file cannot be written; no half line stays behind.
        """
        line = (json.dumps(_plain(values), allow_nan=False, ensure_ascii=False) + "\n").encode()
        with writing(self.path):
            size = self.path.stat().st_size if self.path.exists() else 0
            try:
                with self.path.open("ab") as file:
                    file.write(line)
            except OSError:
                with suppress(OSError):
                    os.truncate(self.path, size)
                raise

    def read(self) -> list[dict[str, Any]]:
        """Every whole line; none where there is no file."""
        return [values for values, _ in self._whole()]

    def cut(self, step: int) -> None:
        """Take away all lines of later steps, and a line that a kill left torn.

        Raises:
            UserError: the file cannot be written.
        """
        if not self.path.exists():
            return
        end = 0
        for values, line_end in self._whole():
            if values["step"] > step:
                break
            end = line_end
        with writing(self.path):
            os.truncate(self.path, end)

    def _whole(self) -> Iterator[tuple[dict[str, Any], int]]:
        """Each line up to the first torn one, and where it ends in the file."""
        if not self.path.exists():
            return
        end = 0
        with self.path.open("rb") as file:
            for line in file:
                end += len(line)
                try:
                    values = json.loads(line) if line.endswith(b"\n") else None
                except ValueError:
                    return
                if not isinstance(values, dict) or "step" not in values:
                    return
                yield values, end


def replace_text(path: Path, text: str) -> None:
    """Write a file so that a reader finds the old text or the new one, never a part.

    Raises:
        UserError: the disk is full, or the file cannot be written.
    """
    scratch = path.with_name(f".{path.name}.new")
    with writing(path):
        try:
            scratch.write_text(text, encoding="utf-8")
            scratch.replace(path)
        finally:
            with suppress(OSError):
                scratch.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says about a file into a sentence.

    Raises:
        UserError: where the block raised an OSError.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; what was written before is whole: make room and start the same "
            "command again, it goes on from the newest checkpoint"
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return str(value) if isinstance(value, Path) else value
