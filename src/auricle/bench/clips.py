"""The recordings to measure with: a user's own, or seeded synthetic ones shaped like speech."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from auricle import units
from auricle.audio import load
from auricle.errors import UserError

SHORT_S = (1.0, 4.0)  # of the synthetic recordings


def read_clips(paths: Sequence[Path], num_clips: int) -> list[np.ndarray]:
    """The first `num_clips` recordings among files and the files directly in directories, by name.

    Raises:
        UserError: no recordings, one that cannot be heard, or one longer than 30 s, which transformers would cut.
    """
    files: list[Path] = []
    for path in paths:
        files += sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    if not files:
        raise UserError(f"no recordings in {', '.join(map(str, paths))}; name audio files or directories of them")
    clips = []
    for file in files[:num_clips]:
        waveform = load(str(file))
        if len(waveform.samples) > units.WINDOW_SAMPLES:
            raise UserError(f"{file} lasts {waveform.duration_s:.1f} s, expected at most 30; leave it out")
        clips.append(waveform.samples)
    return clips


def synthetic_clips(num_clips: int, *, seed: int = 0) -> list[np.ndarray]:
    """float32 [samples] of 1 to 4 s: gliding harmonics in syllables over faint noise.

    What a model writes about them means nothing; its speed does not depend on it, as the number of tokens is fixed.
    """
    rng = np.random.default_rng(seed)
    return [_syllables(rng, rng.uniform(*SHORT_S)) for _ in range(num_clips)]


def of_length(clips: Sequence[np.ndarray], duration_s: float) -> np.ndarray:
    """The recordings after one another, again from the first if need be, cut to a length."""
    num_samples = round(duration_s * units.SAMPLE_RATE)
    joined = np.concatenate(clips)
    return np.tile(joined, -(-num_samples // len(joined)))[:num_samples]


def _syllables(rng: np.random.Generator, duration_s: float) -> np.ndarray:
    time_s = np.arange(round(duration_s * units.SAMPLE_RATE)) / units.SAMPLE_RATE
    pitch_hz = rng.uniform(90, 250) * (1 + 0.1 * np.sin(2 * np.pi * rng.uniform(0.3, 1.0) * time_s))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / units.SAMPLE_RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 12))
    loudness = np.clip(np.sin(2 * np.pi * rng.uniform(1.5, 2.5) * time_s + rng.uniform(0, 6)), 0, None)
    return (0.1 * loudness * voice + 0.002 * rng.standard_normal(len(time_s))).astype(np.float32)
