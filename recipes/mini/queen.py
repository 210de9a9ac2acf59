"""Flight of the Amazon Queen (Debian): every line of speech in `queen.1c` with the subtitle that belongs to it.

Knows the archive's layout and how the game names a line's voice file; knows nothing of manifests. The archive is big
endian: `QTBL`, six bytes of version, two unused, one of compression, a count, then entries of a name (12 bytes), a
bundle (1), an offset and a size (4 each). Subtitles lie in dialogues (`.DOG`), scenes (`.CUT`) and `QUEEN2.JAS`.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ARCHIVE = "usr/share/scummvm/flight-of-the-amazon-queen/queen.1c"
_TABLE_AT = 13
_ENTRY = struct.Struct(">12sBII")
_AMOS_HEADER_BYTES = 20  # `AmBk`, sizes, `Datas   ` in front of every dialogue and scene
_LEVEL_BYTES = 96
_NUM_JOE_RESPONSES = 40
_COMMAND = re.compile(r"\*(XY\d\d\(\d{3},\d{3}\)|XY.{9}|[A-Z]{2}|\d\d)")


@dataclass(frozen=True, slots=True)
class Line:
    """One voice file (`020001P2`), who speaks, the subtitle, and the recording as mp3."""

    name: str
    speaker: str
    text: str
    recording: bytes


def read_archive(path: Path) -> dict[str, bytes]:
    """Read `queen.1c` as file name -> bytes; raises ValueError if it is another kind of file."""
    raw = path.read_bytes()
    if raw[:4] != b"QTBL":
        raise ValueError(f"{path} starts with {raw[:4]!r}, expected b'QTBL'; is it a rebuilt queen.1c?")
    (num_files,) = struct.unpack_from(">H", raw, _TABLE_AT)
    files = {}
    for index in range(num_files):
        name, _bundle, offset, size = _ENTRY.unpack_from(raw, _TABLE_AT + 2 + index * _ENTRY.size)
        files[name.rstrip(b"\0").decode("latin-1")] = raw[offset : offset + size]
    return files


def read_string(raw: bytes, *, at: int, align: int = 2) -> tuple[str, int]:
    """Read a string with a leading length byte; returns it and where the next item starts."""
    length = raw[at]
    text = raw[at + 1 : at + 1 + length].decode("latin-1")
    return text, (at + 1 + length + align - 1) & -align if length else at + 1


def segments(prefix: str, sentence: str) -> Iterator[tuple[str, str]]:
    """Split a sentence at its stage commands (`*02`, `*WT`, `*XY00(237,112)`) into voice file names and texts.

    Every command ends a segment, and segments count from one in one hexadecimal digit: `Okay.*02Just let me know.*03`
    with the prefix `C13F_03` is spoken by `C13F_031` and `C13F_032`.
    """
    for index, text in enumerate(_COMMAND.split(sentence)[::2]):
        if text.strip():
            yield f"{prefix}{index + 1:x}".replace(" ", "0").upper(), text


def dialogue(stem: str, raw: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield voice file name, speaker and text of a dialogue; Joe's are marked J, the other person's P."""
    body = raw[_AMOS_HEADER_BYTES:]
    num_levels, _key, talk_key, num_joe, num_person = struct.unpack_from(">5h", body)
    person_at, _cutaway_at, second_at = struct.unpack_from(">3H", body, 22)
    person = re.sub(r"\d+$", "", stem).lower()
    blocks = ((32 + abs(num_levels) * _LEVEL_BYTES, num_joe, "J", "joe"), (person_at, num_person, "P", person))
    for at, num_strings, mark, speaker in blocks:
        for _ in range(num_strings):
            (head,) = struct.unpack_from(">h", body, at + 2)
            sentence, at = read_string(body, at=at + 4, align=4)
            key = "SSSS" if mark == "J" and head == 0 else f"{head & 0xFFFF:4x}"
            for name, text in segments(f"{talk_key:2d}{key}{mark}", sentence):
                yield name, speaker, text
    for mark, speaker in (("P", person), ("J", "joe")):  # what both say when they meet again
        sentence, second_at = read_string(body, at=second_at)
        for name, text in segments(f"{talk_key:2d}XXXX{mark}", sentence):
            yield name, speaker, text


def scene(stem: str, raw: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield voice file name, speaker and text of a scene; who speaks is not written, so the scene stands for them."""
    body = raw[_AMOS_HEADER_BYTES:]
    (num_objects,) = struct.unpack_from(">h", body, 2)
    (at,) = struct.unpack_from(">H", body, 8)
    _entry, at = read_string(body, at=at)
    for index in range(abs(num_objects)):
        sentence, at = read_string(body, at=at)
        for name, text in segments(f"{stem.ljust(5, '_')}{index + 1:02d}", sentence):
            yield name, stem.lower(), text


def remarks(raw: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield what Joe says about things: 40 stock answers are counted first, the descriptions of objects follow.

    In `QUEEN2.JAS` the descriptions come first and end before the one-word names; the answers follow the verbs, of
    which the last are `walk to`, `on`, `to`.
    """
    lines = raw.decode("latin-1").split("\r\n")
    answers_at = lines.index("walk to") + 3
    numbered = [(index + 1, lines[answers_at + index]) for index in range(_NUM_JOE_RESPONSES - 1)]
    numbered += [(index + 1 + _NUM_JOE_RESPONSES, line) for index, line in enumerate(lines[: lines.index("hatch")])]
    for number, sentence in numbered:
        for name, text in segments(f"JOE{number:04d}", sentence):
            yield name, "joe", text


def read_lines(archive: Path) -> Iterator[Line]:
    """Yield every spoken line of the archive that has both a subtitle and a recording."""
    files = read_archive(archive)
    seen: set[str] = set()
    for name, raw in sorted(files.items()):
        stem, _, extension = name.partition(".")
        if name == "QUEEN2.JAS":
            spoken = remarks(raw)
        elif extension in ("DOG", "CUT"):
            spoken = dialogue(stem, raw) if extension == "DOG" else scene(stem, raw)
        else:
            continue
        for voice, speaker, text in spoken:
            recording = files.get(f"{voice}.SB")
            if recording and voice not in seen:
                seen.add(voice)
                yield Line(voice, f"queen-{speaker}", text, recording)
