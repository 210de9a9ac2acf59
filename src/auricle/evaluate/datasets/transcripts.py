"""Transcripts and recordings that a publisher ships apart: found, matched, and counted where one has no other."""

import csv
import io
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from auricle.data.reading import read_bytes, text_of
from auricle.errors import UserError
from auricle.evaluate.recordings import some

_DEEPEST = 3  # folders between the one that is given and what is looked for
_LOG = logging.getLogger(__name__)
Said = TypeVar("Said")


def nearest(folder: Path, pattern: str) -> list[Path]:
    """What matches the pattern in the folder; else in the folders below; and so on, three levels down."""
    for depth in range(_DEEPEST + 1):
        found = sorted(folder.glob("*/" * depth + pattern))
        if found:
            return found
    return []


def read_table(path: Path) -> dict[str, str]:
    """Lines of a key, white space and the rest, as Kaldi writes them (`trans.txt`, `wav.scp`); blank lines are skipped.

    Raises:
        UserError: it cannot be read, is not UTF-8, or says two things of a key.
    """
    lines = (line.split(maxsplit=1) for line in text_of(read_bytes(path), str(path)).split("\n"))
    return unique(path, ((line[0], line[1].strip() if len(line) > 1 else "") for line in lines if line))


def read_tsv(path: Path) -> Iterator[tuple[str, list[str]]]:
    """File with line, and the fields between tabs; quotes are letters like others. Blank lines are skipped.

    Raises:
        UserError: it cannot be read, or is no text in UTF-8.
    """
    text = io.StringIO(text_of(read_bytes(path), str(path)), newline="")
    reader = csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE)
    try:
        for fields in reader:
            if fields:
                yield f"{path}:{reader.line_num}", fields
    except csv.Error as error:
        raise UserError(
            f"{path}:{reader.line_num} is no line of a table ({error}); unpack the archive again"
        ) from error


def unique(path: Path, items: Iterable[tuple[str, Said]]) -> dict[str, Said]:
    """Items by key; the same said twice counts once.

    Raises:
        UserError: two things are said of a key.
    """
    known: dict[str, Said] = {}
    for key, said in items:
        if known.setdefault(key, said) != said:
            raise UserError(f"{path} says two things of {key}; unpack the archive again")
    return known


def paired(where: Path, texts: Mapping[str, str], recordings: Mapping[str, Path]) -> list[tuple[str, str, Path]]:
    """Key, transcript and recording of every transcript that says something, in the order of the transcripts.

    Recordings without a transcript and empty transcripts are left out, and a warning counts them.

    Args:
        where: what holds both, for messages.
        texts: key -> transcript.
        recordings: key -> file, of those that are there.

    Raises:
        UserError: transcripts have no recording, or there is no transcript at all.
    """
    missing = [key for key in texts if key not in recordings]
    if missing:
        raise UserError(
            f"{where}: {len(missing)} of {len(texts)} transcripts have no recording, such as {some(missing)}; unpack "
            "the whole archive there"
        )
    pairs = [(key, text, recordings[key]) for key, text in texts.items() if text]
    if not pairs:
        raise UserError(
            f"{where}: none of {len(recordings)} recordings has a transcript; unpack the whole archive there"
        )
    untold = [key for key in recordings if key not in texts]
    empty = [key for key, text in texts.items() if not text]
    if untold:
        _LOG.warning("%s: left out %d recordings without a transcript, such as %s", where, len(untold), some(untold))
    if empty:
        _LOG.warning("%s: left out %d empty transcripts, such as %s", where, len(empty), some(empty))
    return pairs
