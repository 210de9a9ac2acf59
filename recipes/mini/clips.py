"""Recordings on disk: convert to 16 kHz mono 16-bit flac, describe them, and write one manifest per source.

Knows nothing of where recordings come from or what is done with them.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import av
import numpy as np

from auricle.evaluate.datasets.flac import convert, decode_int16, flac_duration_s, write_flac
from auricle.units import SAMPLE_RATE

__all__ = ["SAMPLE_RATE_HZ", "Clip", "convert", "decode", "flac_duration_s", "resample", "write_flac"]
SAMPLE_RATE_HZ = SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Clip:
    """One line of a manifest; `audio` is relative to the data root, `split` is `train` or `test`."""

    id: str
    audio: str
    text: str
    language: str
    speaker: str
    source: str
    duration_s: float
    kind: str
    split: str
    licence: str


def decode(
    path: Path, *, container: str | None = None, offset_s: float = 0.0, limit_s: float | None = None
) -> np.ndarray:
    """Read any recording ffmpeg knows as 16 kHz mono int16 samples.

    Args:
        path: the recording.
        container: ffmpeg's name of the format where the file cannot say it itself (`g722`).
        offset_s: seconds to skip at the start.
        limit_s: seconds to keep at most; None keeps all.
    """
    end = None if limit_s is None else round((offset_s + limit_s) * SAMPLE_RATE_HZ)
    return decode_int16(path, container=container)[round(offset_s * SAMPLE_RATE_HZ) : end]


def resample(samples: np.ndarray, *, rate_hz: int) -> np.ndarray:
    """Bring int16 mono samples of another rate to 16 kHz."""
    frame = av.AudioFrame.from_ndarray(samples.astype(np.int16)[None], format="s16", layout="mono")
    frame.sample_rate = rate_hz
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
    pieces = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([piece.to_ndarray().reshape(-1) for piece in pieces])


def write_manifest(clips: list[Clip], path: Path) -> None:
    """Write clips as JSON lines, sorted by audio path, replacing the file in one step."""
    lines = [json.dumps(asdict(clip), ensure_ascii=False) + "\n" for clip in sorted(clips, key=lambda clip: clip.audio)]
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text("".join(lines), encoding="utf-8")
    unfinished.rename(path)


def read_manifest(path: Path) -> list[Clip]:
    """Read the clips of one manifest; keys a clip does not have are passed over, a missing one raises KeyError."""
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [Clip(**{field.name: row[field.name] for field in fields(Clip)}) for row in rows]
