"""Human English from three freely distributable talking adventure games: thousands of lines, dozens of actors.

Each line's text is the game's own subtitle. Writes flac files and one manifest per game; everything is training data,
and no line repeats a test text. Run: python recipes/mini/talkies.py --data DIR --packages DIR, after `human.py`.
"""

import argparse
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import numpy as np

import clips
import drascula
import packages
import queen
import sky
from auricle.evaluate.datasets.debian_split import normalise
from clips import Clip

MIN_CLIP_S, MAX_CLIP_S = 0.3, 20.0
MIN_LETTERS_PER_S, MAX_LETTERS_PER_S = 2.0, 30.0  # outside, recording and subtitle do not belong together
_MIN_QUOTE_WORDS = 4  # a test text this long may not be part of a training text either
_FULL_SCALE = 32_768
_PEAK, _SILENCE = 0.7, 0.02  # of full scale
_NAMES = (  # that Sky's texts only ever shout
    "Anita Babs Babycham Barry Belle Burke Cole Colston Danielle Doppler Eduardo Foster Gallagher Gilbert "
    "Goddard Greaves Hobart Hobbins James Joey Kansas Ken Lamb Lawrence Lovecraft's Mrs Nora Obbins Overmann "
    "Piermont Potts Reich Rob Robert Schriebmann Spunky St Stefan Stephen Steven Vincent Vue Walter Wurlitzer "
    "I I'm I've I'll I'd ASCII D-LINC HQ ID LINC LINC's LINC-space SOS TV VHS WD"
)
_QUEEN_CLAIMED_HZ, _QUEEN_TRUE_HZ = 11_025, 11_840  # the game's own rate; the files were packed with a wrong one


@dataclass(frozen=True, slots=True)
class Spoken:
    """A line of a game before it is cleaned; `load` decodes its 16 kHz mono int16 samples."""

    name: str
    speaker: str
    text: str
    load: Callable[[], np.ndarray]


def decode_mp3(recording: bytes) -> np.ndarray:
    """Decode one of Queen's recordings to 16 kHz mono int16 samples."""
    with av.open(io.BytesIO(recording), mode="r", format="mp3") as container:
        frames = list(container.decode(audio=0))
    if not frames:
        return np.zeros(0, np.int16)
    rate_hz = frames[0].sample_rate
    planes = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    samples = np.clip(planes * _FULL_SCALE, -_FULL_SCALE, _FULL_SCALE - 1) if planes.dtype.kind == "f" else planes
    return clips.resample(samples, rate_hz=_QUEEN_TRUE_HZ if rate_hz == _QUEEN_CLAIMED_HZ else rate_hz)


def queen_lines(root: Path) -> Iterator[Spoken]:
    """Yield the lines of Flight of the Amazon Queen."""
    archive = packages.fetch("flight-of-the-amazon-queen", root) / queen.ARCHIVE
    for line in queen.read_lines(archive):
        yield Spoken(line.name, line.speaker, line.text, partial(decode_mp3, line.recording))


def sky_lines(root: Path) -> Iterator[Spoken]:
    """Yield the lines of Beneath a Steel Sky."""
    program = packages.fetch("scummvm", root) / "usr/games/scummvm"
    for line in sky.read_lines(packages.fetch("beneath-a-steel-sky", root) / sky.FOLDER, program):
        load = partial(clips.resample, line.samples, rate_hz=sky.SPEECH_RATE_HZ)
        yield Spoken(line.name, line.speaker, line.text, load)


def drascula_lines(root: Path) -> Iterator[Spoken]:
    """Yield the lines of Drascula."""
    for line in drascula.read_lines(packages.fetch("drascula", root) / drascula.FOLDER):
        load = partial(clips.resample, line.samples, rate_hz=drascula.SPEECH_RATE_HZ)
        yield Spoken(line.name, line.speaker, line.text, load)


GAMES = {
    "queen": (queen_lines, "LicenseRef-Flight-of-the-Amazon-Queen"),
    "sky": (sky_lines, "LicenseRef-Beneath-a-Steel-Sky"),
    "drascula": (drascula_lines, "LicenseRef-Drascula"),
}


class Casing:
    """How words are written where the author does not shout: learnt from all texts of a game."""

    def __init__(self, texts: list[str]) -> None:
        inside = [word for text in texts for word in re.findall(r"(?<=[a-z,] )[A-Za-z'-]+", text)]
        counts = Counter(word for word in inside if not self._is_shouted(word))
        self._written: dict[str, str] = {name.lower(): name for name in _NAMES.split()}
        for word, _count in counts.most_common():
            self._written.setdefault(word.lower(), word)

    @staticmethod
    def _is_shouted(word: str) -> bool:
        return len(re.sub(r"[^A-Za-z]", "", word)) > 1 and word.upper() == word

    def calm(self, text: str) -> str:
        """Write shouted words as they are written elsewhere, in lower case where they never are."""
        if not re.search(r"[a-z]", text) and len(text.split()) == 1:
            return text.capitalize()
        words = r"[A-Za-z][A-Za-z'-]*"
        return re.sub(words, lambda match: self._calm_word(match[0]), text)

    def _calm_word(self, word: str) -> str:
        return self._written.get(word.lower(), word.lower()) if self._is_shouted(word) else word


def clean(text: str) -> str | None:
    """A subtitle as a listener would write it, or None where it is no sentence; casing is not touched but the first."""
    text = re.sub(r"\^_|[\"\x80-\xff]", "", text).replace("`", "'")
    text = re.sub(r"\s*\.{2,}(?=\s+[A-Z])", ".", text.strip())
    text = re.sub(r"^\.{2,}\s*", "", text)
    text = re.sub(r"\s*\.{2,}\s*([?!])", r"\1", text)
    text = re.sub(r"\s*\.{2,}$", ".", text)
    text = re.sub(r"\s*\.{2,}\s*", ", ", text)
    text = re.sub(r"\s+([,.?!])", r"\1", re.sub(r"([!?])\1+", r"\1", " ".join(text.split())))
    if not re.search(r"[A-Za-z]", text) or re.search(r"[*#<>(){}\[\]@|\\]", text):
        return None
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".,!?'" or len(text.split()) < 4 else f"{text}."


def held_out(data: Path) -> set[str]:
    """Every test text of the human recordings, normalised; raises FileNotFoundError if `human.py` has not made them."""
    required = [data / "asterisk-en.jsonl", data / "librivox.jsonl"]
    found = [clip for path in {*required, *data.glob("asterisk-*.jsonl")} for clip in clips.read_manifest(path)]
    if (data / "tuxpaint.jsonl").exists():
        found += clips.read_manifest(data / "tuxpaint.jsonl")
    return {normalise(clip.text) for clip in found if clip.split == "test"}


def quotes(text: str, tests: set[str]) -> bool:
    """Whether a text equals a test text, or contains a whole one of four words or more."""
    spoken = f" {normalise(text)} "
    return spoken.strip() in tests or any(
        f" {test} " in spoken for test in tests if len(test.split()) >= _MIN_QUOTE_WORDS
    )


def levelled(samples: np.ndarray) -> np.ndarray:
    """Take off the offset and bring the peak of a quiet 8-bit recording up; loud ones stay as they are."""
    centred = samples.astype(np.float32) - samples.mean()
    peak = float(np.abs(centred).max(initial=1.0)) / _FULL_SCALE
    gain = max(1.0, _PEAK / peak) if peak > _SILENCE else 1.0
    return np.clip(centred * gain, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)


def why_not(text: str | None, *, length_s: float, tests: set[str]) -> str:
    """Why a line is left out; empty if it is kept."""
    if text is None:
        return "no sentence"
    if not MIN_CLIP_S <= length_s <= MAX_CLIP_S:
        return "too short or too long"
    if not MIN_LETTERS_PER_S <= sum(map(str.isalnum, text)) / length_s <= MAX_LETTERS_PER_S:
        return "text does not fit the length"
    return "a test text" if quotes(text, tests) else ""


def make(game: str, *, data: Path, package_root: Path) -> list[Clip]:
    """Convert one game's lines; prints how many were left out and why."""
    reader, licence = GAMES[game]
    lines = list(reader(package_root))
    casing, tests = Casing([line.text for line in lines]), held_out(data)
    found: list[Clip] = []
    left_out: Counter[str] = Counter()
    for line in lines:
        audio = f"{game}/{line.name}.flac"
        if not (data / audio).exists():
            clips.write_flac(levelled(line.load()), data / audio)
        text, length_s = clean(casing.calm(line.text)), round(clips.flac_duration_s(data / audio), 3)
        reason = why_not(text, length_s=length_s, tests=tests)
        if reason or text is None:
            left_out[reason] += 1
        else:
            found.append(Clip(line.name, audio, text, "en", line.speaker, game, length_s, "human", "train", licence))
    hours = sum(clip.duration_s for clip in found) / 3600
    print(f"{game}: {len(found)} clips, {hours:.2f} h; left out {dict(left_out)}")
    return found


def main() -> None:
    """Make the manifests of the games."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="data root; manifests and audio go here")
    parser.add_argument("--packages", type=Path, required=True, help="where packages are unpacked")
    parser.add_argument("games", nargs="*", default=list(GAMES), help="games to make; default all")
    options = parser.parse_args()
    for game in options.games:
        found = make(game, data=options.data, package_root=options.packages)
        clips.write_manifest(found, options.data / f"{game}.jsonl")


if __name__ == "__main__":
    main()
