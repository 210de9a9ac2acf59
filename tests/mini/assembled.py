"""Recordings put together from spoken ones and pauses, so that it is known where speech begins and ends."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

RATE = 16000
_FRAME_SAMPLES = 160
_QUIET_DB = -30.0  # below the loudest 10 ms: breath and the room of the audio book lie lower
_FLOOR = 1e-4  # noise of a good recorder, so that pauses are not digital silence


@dataclass(frozen=True, slots=True)
class Assembled:
    """float32 samples, and (start, end) in seconds of each spoken part."""

    samples: np.ndarray
    spans: tuple[tuple[float, float], ...]


def trimmed(samples: np.ndarray) -> np.ndarray:
    """From the first to the last 10 ms whose power is within 30 dB of the loudest: what is surely speech."""
    frames = samples[: len(samples) // _FRAME_SAMPLES * _FRAME_SAMPLES].reshape(-1, _FRAME_SAMPLES)
    power = np.square(frames).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (_QUIET_DB / 10))
    return samples[loud[0] * _FRAME_SAMPLES : (loud[-1] + 1) * _FRAME_SAMPLES]


def assemble(spoken: Iterable[np.ndarray], pauses_s: Sequence[float]) -> Assembled:
    """A pause before each trimmed part, and the last one after them all."""
    parts, spans, length = [], [], 0
    for part, pause_s in zip(map(trimmed, spoken), pauses_s, strict=False):
        start = length + round(pause_s * RATE)
        length = start + len(part)
        parts += [np.zeros(round(pause_s * RATE), np.float32), part]
        spans.append((start / RATE, length / RATE))
    samples = np.concatenate([*parts, np.zeros(round(pauses_s[-1] * RATE), np.float32)])
    return Assembled(
        samples + np.random.default_rng(0).normal(0, _FLOOR, len(samples)).astype(np.float32), tuple(spans)
    )


def write_flac(path: Path, samples: np.ndarray) -> Path:
    """As a file, a minute at a time."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("flac", rate=RATE, layout="mono")
        stream.codec_context.open()
        sizes = av.AudioResampler("s16", "mono", RATE, stream.codec_context.frame_size)
        for start in range(0, len(samples), 60 * RATE):
            block = (np.clip(samples[start : start + 60 * RATE], -1, 1) * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(block[None], "s16", "mono")
            frame.sample_rate, frame.pts = RATE, start
            for part in sizes.resample(frame):
                output.mux(stream.encode(part))
        output.mux([packet for part in sizes.resample(None) for packet in stream.encode(part)])
        output.mux(stream.encode(None))
    return path
