"""A sequence of records that are read when they are asked for."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import overload

from auricle.data.records import Record
from auricle.errors import UserError

RECORDINGS = frozenset(  # endings of files that hold sound
    {".aac", ".aif", ".aiff", ".au", ".flac", ".m4a", ".mka", ".mp3", ".mp4", ".ogg", ".opus", ".wav", ".webm", ".wma"}
)


class RecordList(Sequence[Record]):
    """Holds where records lie, in arrays; reads one when it is asked for. It pickles, and no file stays open.

    Reading a bad line raises UserError and harms no other line.
    """

    @abstractmethod
    def read(self, index: int) -> Record:
        """The record at 0 <= index < len."""

    @abstractmethod
    def where(self, index: int) -> str:
        """Where it stands, with which the sentence about a bad record begins."""

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        if isinstance(index, slice):
            return [self.read(place) for place in range(len(self))[index]]
        return self.read(range(len(self))[index])

    def __iter__(self) -> Iterator[Record]:
        return (self.read(index) for index in range(len(self)))


def where_of(records: Sequence[Record], index: int) -> str:
    """The place of a record: of a list that knows it, without reading the record."""
    return records.where(index) if isinstance(records, RecordList) else records[index].where


def is_recording(name: str) -> bool:
    """Whether a file of this name holds sound."""
    return PurePath(name).suffix.lower() in RECORDINGS


def text_of(content: bytes, where: str) -> str:
    """UTF-8, with or without a mark at its start.

    Raises:
        UserError: it is another encoding, or no text.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: byte {error.start} is not UTF-8; expected text in UTF-8, convert the file") from None


def read_bytes(path: Path, offset: int = 0, num_bytes: int = -1) -> bytes:
    """A part of a file.

    Raises:
        UserError: it cannot be read any more.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(num_bytes)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; put the file back, or allow reading it") from None
