"""Speak the texts: `python recipes/mini/synthesise.py --data DIR --hours 20 --workers 2`.

Reads DIR/texts.txt (made by texts.py), writes 16 kHz flac files under DIR/synth/<voice>/, appends to DIR/synth.jsonl.
Text, voice and variation follow from the line's index alone, so a stopped run goes on where it was, with any number of
workers; a manifest line is written only after its file.
"""

import argparse
import json
import multiprocessing
import os
import random
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from voices import LICENCES, SHARES, Speech, Voice, Waveform, build

SEED = 20261122
SAMPLES_PER_S = 16_000
MAX_SILENCE_S = 0.3  # what may be left before and after the speech
SILENCE = 0.01  # of the peak: below it there is no speech (-40 dB)
MIN_CHARS_PER_S, MAX_CHARS_PER_S = 5.0, 35.0
SHORT_CHARS = 14  # a text this short may be slower: a final syllable is drawn out


@dataclass(frozen=True, slots=True)
class Clip:
    """What one line of texts.txt becomes."""

    index: int
    kind: str
    text: str
    voice: str
    pace: float  # multiplies the duration before resampling
    pitch: float  # resampling ratio: 1.1 is higher and faster
    peak: float


def plan(index: int, line: str) -> Clip:
    """The clip of a line `kind<TAB>text`, a function of its index alone."""
    rng = random.Random(f"{SEED}-{index}")
    kind, _, text = line.partition("\t")
    (voice,) = rng.choices(list(SHARES), list(SHARES.values()))
    return Clip(index, kind, text, voice, rng.uniform(0.8, 1.2), rng.uniform(0.92, 1.08), rng.uniform(0.2, 0.95))


def trim(samples: Waveform, *, samples_per_s: int, keep_s: float) -> Waveform:
    """Cut silence at both ends down to at most `keep_s`; empty when there is no speech at all."""
    loud = np.flatnonzero(np.abs(samples) > SILENCE * max(float(np.abs(samples).max(initial=0.0)), 1e-3))
    if not len(loud):
        return samples[:0]
    keep = int(keep_s * samples_per_s)
    return samples[max(0, loud[0] - keep) : loud[-1] + 1 + keep]


def finish(speech: Speech, clip: Clip) -> Waveform:
    """The common path of all voices: trim, shift pitch by resampling to 16 kHz, set the peak."""
    keep_s = random.Random(clip.index).uniform(0.05, MAX_SILENCE_S) * clip.pitch
    samples = trim(speech.samples, samples_per_s=speech.samples_per_s, keep_s=keep_s)
    if not len(samples):
        return samples
    ratio = Fraction(SAMPLES_PER_S / (speech.samples_per_s * clip.pitch)).limit_denominator(160)
    samples = np.asarray(resample_poly(samples, ratio.numerator, ratio.denominator), np.float32)
    return np.asarray(samples * (clip.peak / max(float(np.abs(samples).max()), 1e-6)), np.float32)


def fault(samples: Waveform, text: str) -> str | None:
    """Why a clip is not to be used, or None: no speech, or a duration that does not fit the text."""
    if len(samples) < SAMPLES_PER_S // 5:
        return "too short"
    if float(np.sqrt(np.mean(samples**2))) < 1e-3:
        return "silent"
    rate = len(text) * SAMPLES_PER_S / len(samples)
    if rate > MAX_CHARS_PER_S or rate < (MIN_CHARS_PER_S if len(text) > SHORT_CHARS else 0.5):
        return f"{rate:.1f} characters per second"
    return None


class Writer:
    """One worker: speaks its clips and appends to the manifest until its hours are full."""

    def __init__(self, data: Path, packages: Path) -> None:
        self.data, self.packages = data, packages
        self.voices: dict[str, Voice] = {}
        self.manifest = os.open(data / "synth.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def speak(self, clip: Clip) -> float:
        """Make one clip; returns its duration in seconds, 0 if it was refused."""
        if clip.voice not in self.voices:
            self.voices[clip.voice] = build(clip.voice, self.packages)
        speech = self.voices[clip.voice].speak(clip.text.lstrip(". "), pace=clip.pace, seed=clip.index)
        samples = finish(speech, clip)
        if (reason := fault(samples, clip.text)) is not None:
            print(f"refused {clip.index} {clip.voice} {clip.text!r}: {reason}", flush=True)
            return 0.0
        audio = Path("synth") / clip.voice / f"{clip.index:06d}.flac"
        path = self.data / audio
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, SAMPLES_PER_S, subtype="PCM_16")
        self._append(clip, str(audio), len(samples) / SAMPLES_PER_S)
        return len(samples) / SAMPLES_PER_S

    def _append(self, clip: Clip, audio: str, duration_s: float) -> None:
        row = {
            "id": f"synth-{clip.index:06d}", "audio": audio, "text": clip.text, "language": "en", "speaker": clip.voice,
            "source": "synth", "duration_s": round(duration_s, 3), "kind": "synthetic", "split": "train",
            "licence": LICENCES.get(clip.voice, "Apache-2.0"), "text_kind": clip.kind,
        }  # fmt: skip
        os.write(self.manifest, (json.dumps(row) + "\n").encode())  # one write to an append-only file: lines stay whole


def work(data: Path, packages: Path, clips: list[Clip], hours: float) -> None:
    """Speak clips in order until `hours` are made."""
    writer, made_s = Writer(data, packages), 0.0
    for clip in clips:
        if made_s >= hours * 3600:
            break
        try:
            made_s += writer.speak(clip)
        except Exception as error:  # one odd sentence must not end a run of hours; it is named and left out
            print(f"failed {asdict(clip)}: {error!r}", flush=True)
            writer.voices.pop(clip.voice, None)


def main() -> None:
    """Make the clips that are still missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="data folder with texts.txt")
    parser.add_argument("--packages", type=Path, help="unpacked packages (default: dl beside the data folder)")
    parser.add_argument("--hours", type=float, default=20.0, help="hours wanted in all, earlier runs included")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    data = options.data.resolve()
    packages = (options.packages or data.parent / "dl").resolve()
    manifest = data / "synth.jsonl"
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()] if manifest.exists() else []
    done = {row["id"] for row in rows}
    hours_left = options.hours - sum(row["duration_s"] for row in rows) / 3600
    lines = (data / "texts.txt").read_text(encoding="utf-8").splitlines()
    clips = [plan(index, line) for index, line in enumerate(lines) if f"synth-{index:06d}" not in done]
    share = hours_left / options.workers
    processes = [
        multiprocessing.Process(target=work, args=(data, packages, clips[first :: options.workers], share))
        for first in range(options.workers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


if __name__ == "__main__":
    main()
