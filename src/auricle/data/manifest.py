"""A data set as a sequence of records: lines of JSON, tar shards, or a folder of recordings with transcripts."""

from array import array
from pathlib import Path

import numpy as np

from auricle.data.folder import Folder
from auricle.data.formats import parse_line
from auricle.data.places import Origin, in_folder
from auricle.data.reading import RecordList, read_bytes, text_of
from auricle.data.records import Record
from auricle.data.shards import Shards, expand
from auricle.errors import UserError


def open_records(path: Path, *, task: str | None = None) -> RecordList:
    """A data set, of which only places are held in memory.

    Args:
        path: a file of JSON lines; a tar shard, or a pattern such as `train-{0000..0012}.tar` or `train-*.tar`; or a
            folder of recordings with transcripts beside them.
        task: of labelled recordings whose lines name none.

    Raises:
        UserError: there is nothing to read there. A bad line raises only when it is read.
    """
    shards = expand(path)
    if shards:
        return Shards.scan(shards, task=task)
    if path.is_dir():
        return Folder.scan(path, task=task)
    return JsonLines.scan(path, task=task)


class JsonLines(RecordList):
    """One JSON object on each line; blank lines are skipped.

    offsets: int64 [records + 1], where each line starts and the file ends. numbers: int64 [records], from 1.
    """

    def __init__(self, path: Path, offsets: np.ndarray, numbers: np.ndarray, task: str | None) -> None:
        self._path, self._offsets, self._numbers, self._task = path, offsets, numbers, task

    @classmethod
    def scan(cls, path: Path, *, task: str | None = None) -> "JsonLines":
        """Find the lines, reading the file once.

        Raises:
            UserError: it cannot be read, is compressed, is one long array, or holds nothing.
        """
        offsets, numbers, end = array("q"), array("q"), 0
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if not line.isspace():
                        offsets.append(end)
                        numbers.append(number)
                    end += len(line)
        except OSError as error:
            raise UserError(
                f"cannot read the data {path}: {error.strerror}; expected a file of JSON lines, tar shards or a folder"
            ) from None
        if not numbers:
            raise UserError(f"{path} holds no line; expected one JSON object on each")
        _refuse_other_forms(path, offsets[0])
        offsets.append(end)
        return cls(path, np.frombuffer(offsets, np.int64), np.frombuffer(numbers, np.int64), task)

    def __len__(self) -> int:
        return len(self._numbers)

    def read(self, index: int) -> Record:
        """The record of a line that is not blank."""
        start, end = self._offsets[index : index + 2].tolist()
        where = self.where(index)
        line = text_of(read_bytes(self._path, start, end - start), where)
        return parse_line(line, Origin(where, self._path.stem, in_folder(self._path.parent), self._task))

    def where(self, index: int) -> str:
        """File and line."""
        return f"{self._path}:{self._numbers[index]}"


def _refuse_other_forms(path: Path, start: int) -> None:
    head = read_bytes(path, start, 64).lstrip()
    if head.startswith(b"\x1f\x8b"):
        raise UserError(f"{path} is compressed, so no line in it can be found; unpack it with gunzip")
    if head.startswith(b"["):
        raise UserError(f"{path} is one JSON array; expected an object on each line, write it with `jq -c '.[]'`")
