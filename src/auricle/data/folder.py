"""A folder of recordings with transcripts beside them."""

import os
from collections.abc import Iterator
from pathlib import Path

from auricle.data.formats import parse_line, read_record
from auricle.data.places import Origin, in_folder
from auricle.data.reading import RecordList, is_recording, read_bytes, text_of
from auricle.data.records import Record, Recording
from auricle.errors import UserError

_TABLE = ".trans.txt"  # LibriSpeech's: on each line a recording's stem, a space, the transcript


class Folder(RecordList):
    """Every recording under a folder, by name; its text is in `x.json` (any form), `x.txt`, or a line of a table.

    items: a recording, the file that holds its text, and the line of a table from 1, or 0; a recording is empty where a
    table names one that is not there, and the file is empty where a recording has no text.
    """

    def __init__(self, path: Path, items: list[tuple[str, str, int]], task: str | None) -> None:
        self._path, self._items, self._task = path, items, task

    @classmethod
    def scan(cls, path: Path, *, task: str | None = None) -> "Folder":
        """Find the recordings and what belongs to them, reading only tables.

        Raises:
            UserError: there is no recording under the folder.
        """
        items: list[tuple[str, str, int]] = []
        for directory, folders, names in os.walk(path, followlinks=True):
            folders.sort()
            items += _items(Path(directory), sorted(names))
        if not any(recording for recording, _, _ in items):
            raise UserError(
                f"no recording under the folder {path}; expected for example x.flac with x.txt beside it (of shards, "
                "give a pattern such as 'train-*.tar')"
            )
        return cls(path, items, task)

    def __len__(self) -> int:
        return len(self._items)

    def read(self, index: int) -> Record:
        """The recording with its text."""
        recording, text, line = self._items[index]
        where, stem = self.where(index), Path(recording).stem
        if not text:
            raise UserError(f"{where}: no transcript; expected {stem}.txt, {stem}.json or a line of *{_TABLE}")
        content = text_of(read_bytes(Path(text)), where)
        if text.endswith(".json"):
            return parse_line(content, self._origin(recording, where))
        if line:
            stem, _, content = content.split("\n")[line - 1].strip().partition(" ")
        if not recording:
            raise UserError(f"{where}: no recording {stem!r} beside the table; expected for example {stem}.flac")
        return read_record({"text": content.strip(), "id": stem}, self._origin(recording, where))

    def where(self, index: int) -> str:
        """The line of the table, the file of JSON, or the recording."""
        recording, text, line = self._items[index]
        if line:
            return f"{text}:{line}"
        return text if text.endswith(".json") else recording

    def _origin(self, recording: str, where: str) -> Origin:
        path = Path(recording)
        return Origin(where, self._path.resolve().name, in_folder(path.parent), self._task, (Recording(path),))


def _items(directory: Path, names: list[str]) -> Iterator[tuple[str, str, int]]:
    rows = {
        stem: (str(directory / name), number)
        for name in names
        if name.endswith(_TABLE)
        for number, stem in _stems(directory / name)
    }
    present, stems = set(names), set[str]()
    for name in filter(is_recording, names):
        stem = Path(name).stem
        stems.add(stem)
        beside = next((f"{stem}{ending}" for ending in (".json", ".txt") if f"{stem}{ending}" in present), None)
        text, number = (str(directory / beside), 0) if beside else rows.get(stem, ("", 0))
        yield str(directory / name), text, number
    for stem in rows.keys() - stems:
        yield "", *rows[stem]


def _stems(table: Path) -> Iterator[tuple[int, str]]:
    """Line numbers and the stems of recordings."""
    for number, row in enumerate(text_of(read_bytes(table), str(table)).split("\n"), start=1):
        if row.strip():
            yield number, row.split(maxsplit=1)[0]
