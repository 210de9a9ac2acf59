"""Tar shards in webdataset's layout, indexed once by their headers and read where they lie.

Members that share a name up to its first dot are one sample: `0001.flac` with `0001.json` (any form of `formats`), or
with `0001.txt`, its transcript. Why an index and no stream: docs/decisions/004.
"""

import glob
import itertools
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from auricle.data.formats import read_record
from auricle.data.places import Origin
from auricle.data.reading import RecordList, is_recording, read_bytes, text_of
from auricle.data.records import Record, Recording
from auricle.data.spelling import parse_json
from auricle.errors import UserError

_NAME = re.compile(r"((?:.*/|)[^.]+)\.([^/]*)")  # key and extension, as webdataset splits a name
_META = re.compile(r"__[^/]*__($|/)")  # members that webdataset leaves out
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_BLOCK = 512  # bytes; a tar ends with blocks of zeros
_PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar.lz4")


def expand(path: Path) -> list[Path]:
    """The shards that a path or a pattern names, in order; none where it names something else.

    Raises:
        UserError: a pattern that no file fits, or shards that are compressed as a whole.
    """
    name = str(path)
    if name.endswith(_PACKED):
        raise UserError(f"{path} is compressed as a whole, so nothing in it can be found; unpack it to a plain .tar")
    if not name.endswith(".tar") or path.is_dir():
        return []
    if path.exists():
        return [path]
    found = [
        match for spelt in _spelt(name) for match in (sorted(glob.glob(spelt)) if glob.has_magic(spelt) else [spelt])
    ]
    if not found:
        raise UserError(f"no shard fits the pattern {path}; expected one file at least")
    return [Path(shard) for shard in found]


def _spelt(name: str) -> Iterator[str]:
    """`{0000..0012}` counted out, digits kept."""
    pieces = _RANGE.split(name)
    ranges = [
        [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
        for first, last in zip(pieces[1::3], pieces[2::3], strict=True)
    ]
    for numbers in itertools.product(*ranges):
        yield "".join(piece + number for piece, number in itertools.zip_longest(pieces[::3], numbers, fillvalue=""))


class Shards(RecordList):
    """Samples of one or more shards, in the order in which they lie.

    keys: bytes [samples]. firsts: int64 [samples + 1], the row of a sample's first member.
    members: int64 [rows, 4]: shard, extension, offset of the content, bytes of it.
    """

    def __init__(
        self,
        shards: Sequence[Path],
        extensions: Sequence[str],
        keys: np.ndarray,
        firsts: np.ndarray,
        members: np.ndarray,
        task: str | None,
    ) -> None:
        self._shards, self._extensions, self._task = tuple(shards), tuple(extensions), task
        self._keys, self._firsts, self._members = keys, firsts, members

    @classmethod
    def scan(cls, shards: Sequence[Path], *, task: str | None = None) -> "Shards":
        """Read the headers of all members.

        Raises:
            UserError: a shard cannot be read, is no tar, breaks off, or none holds a sample.
        """
        extensions: dict[str, int] = {}
        keys, firsts, members = list[bytes](), list[int](), list[tuple[int, int, int, int]]()
        for number, shard in enumerate(shards):
            last = None
            for key, extension, offset, num_bytes in _members(shard):
                if key != last:
                    keys.append(key.encode())
                    firsts.append(len(members))
                    last = key
                kind = extensions.setdefault(extension, len(extensions))
                members.append((number, kind, offset, num_bytes))
        if not keys:
            raise UserError(f"no sample in {shards[0]}; expected members such as 0001.flac and 0001.json")
        firsts.append(len(members))
        table = np.array(members, np.int64)
        return cls(shards, tuple(extensions), np.array(keys), np.array(firsts, np.int64), table, task)

    def __len__(self) -> int:
        return len(self._keys)

    def read(self, index: int) -> Record:
        """A sample: the object of its `.json`, the transcript of its `.txt`, its recordings."""
        rows = self._members[self._firsts[index] : self._firsts[index + 1]].tolist()
        shard, where = self._shards[rows[0][0]], self.where(index)
        parts = {self._extensions[kind]: Recording(shard, offset, size) for _, kind, offset, size in rows}
        if len(parts) < len(rows):
            raise UserError(f"{where}: two members have the same name; expected one, write the shard again")
        fields = _fields(parts, where)
        recordings = {name: part for name, part in parts.items() if is_recording(f"x.{name}")}
        if isinstance(fields, dict):
            fields.setdefault("id", self._keys[index].decode())

        def find(name: str) -> Recording:
            extension = _NAME.fullmatch(name)
            found = recordings.get(name) or (recordings.get(extension[2].lower()) if extension else None)
            if found is None:
                raise UserError(f"the sample holds no recording {name!r}; expected one of {', '.join(recordings)}")
            return found

        origin = Origin(where, shard.parent.resolve().name, find, self._task, tuple(recordings.values()))
        return read_record(fields, origin)

    def where(self, index: int) -> str:
        """Shard and key."""
        return f"{self._shards[self._members[self._firsts[index], 0]]}:{self._keys[index].decode()}"


def _fields(parts: dict[str, Recording], where: str) -> object:
    """What the sample's text members say; a `.txt` is the `text` of a `.json` that has none."""
    fields: object = {}
    if "json" in parts:
        fields = parse_json(_text(parts["json"], where), where)
    if "txt" in parts and isinstance(fields, dict) and "text" not in fields:
        fields = {**fields, "text": _text(parts["txt"], where).strip()}
    return fields


def _text(part: Recording, where: str) -> str:
    return text_of(read_bytes(part.path, part.offset or 0, part.num_bytes or 0), where)


def _members(shard: Path) -> Iterator[tuple[str, str, int, int]]:
    """Key, extension, offset and bytes of each member that belongs to a sample, read from the headers alone."""
    try:
        with shard.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in iter(tar.next, None):
                name = _NAME.fullmatch(member.name)
                if member.isreg() and name and not _META.match(member.name):
                    yield name[1], name[2].lower(), member.offset_data, member.size
                tar.members = []  # type: ignore[attr-defined]  # else it keeps them all
            file.seek(tar.offset)
            if file.read(_BLOCK) != bytes(_BLOCK):  # where it sees no header, tarfile takes it for the end
                raise UserError(
                    f"the shard {shard} breaks off at byte {tar.offset}; expected a whole one, copy it again"
                )
    except tarfile.ReadError as error:
        raise UserError(f"the shard {shard} breaks off or is no tar: {error}; copy it again") from None
    except OSError as error:
        raise UserError(f"cannot read the shard {shard}: {error.strerror}; check the path") from None
