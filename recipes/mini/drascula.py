"""Drascula: The Vampire Strikes Back (Debian, English): every line of speech with the text that belongs to it.

Knows the table of texts in `drascula.dat` and how the game names voice files; knows nothing of manifests. The texts are
all capitals. Table: a count of languages, then for each of the game's characters a count of texts and, per language
(English is the first), a block with its size; big endian.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = "usr/share/scummvm/drascula/en"
SPEECH_RATE_HZ = 11_025
_FIRST_TEXT = b"THAT'S THE SECOND BIGGEST DOOR"
_ALIGNMENT_BYTES = 4
_SPEAKERS = {  # by the letters that begin a voice file, in the order of the table
    "": "hacker", "D": "drascula", "B": "drunk", "BJ": "bj", "E": "trunk", "I": "igor", "L": "wolf", "P": "pianist",
    "T": "bartender", "VB": "vonbraun",
}  # fmt: skip
_NAMES = (
    "I I'm I've I'll I'd John Johnny Hacker Drascula Drascula's Igor Braun BJ Billie Jean Evaristo Evaristo's "
    "Fernan Fernan's Fernando Pelayo Emilio Paz Emma Desiderio Desiderio's Ganimedes Elvis Stevie Woody "
    "Allen's Yul Brinner Yoda Superman Plato Hamlet Tchaikovsky Miguel Margaret's Transilvania Transilvanian "
    "Tibet Danube Gibraltar London Oxford England Europe Spanish English British Japanese Jesus God Christmas "
    "Kleenex Count Constantino Bose Frank TV CD"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One voice file (`VB10`), who speaks, the text, and int16 samples at `SPEECH_RATE_HZ`."""

    name: str
    speaker: str
    text: str
    samples: np.ndarray


def read_texts(raw: bytes) -> dict[str, str]:
    """Read the English texts by voice file name; raises ValueError where the first text is not found."""
    at = raw.index(_FIRST_TEXT) - 2 * _ALIGNMENT_BYTES - 6
    (num_languages,) = struct.unpack_from(">H", raw, at)
    at += 2
    texts = {}
    for letters in _SPEAKERS:
        (num_texts,) = struct.unpack_from(">H", raw, at)
        at += 2
        for language in range(num_languages):
            (size,) = struct.unpack_from(">H", raw, at)
            if language == 0:
                place = at + 2 + _ALIGNMENT_BYTES
                for index in range(1, num_texts):
                    place += struct.unpack_from(">H", raw, place - 2)[0]
                    texts[f"{letters}{index}"] = raw[place : raw.index(b"\0", place)].decode("cp850")
            at += 2 + size
    return texts


def sentence_case(text: str) -> str:
    """Lower-case a text of capitals, except for names and where a sentence begins."""
    names = {name.lower(): name for name in _NAMES.split()}
    text = re.sub(r"[a-z][a-z']*", lambda match: names.get(match[0], match[0]), text.lower())
    text = text.replace("von Braun", "Von Braun")
    return re.sub(r"(^|[.?!]\s+)([a-z])", lambda match: match[1] + match[2].upper(), text)


def read_lines(folder: Path) -> Iterator[Line]:
    """Yield every voice file that has a text."""
    for name, text in read_texts((folder / "drascula.dat").read_bytes()).items():
        voice = folder / f"{name}.ALS"
        if voice.exists() and text.strip():
            samples = (np.frombuffer(voice.read_bytes(), np.uint8).astype(np.int16) - 128) * 256
            yield Line(name, f"drascula-{_SPEAKERS[name.rstrip('0123456789')]}", sentence_case(text), samples)
