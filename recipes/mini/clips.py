"""Recordings on disk: convert to 16 kHz mono 16-bit flac, describe them, and write one manifest per source.

Knows nothing of where recordings come from or what is done with them.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import av
import numpy as np

SAMPLE_RATE_HZ = 16_000


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
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
    end = None if limit_s is None else round((offset_s + limit_s) * SAMPLE_RATE_HZ)
    pieces: list[np.ndarray] = []
    num_samples = 0
    with av.open(str(path), format=container) as recording:
        for frame in recording.decode(audio=0):
            frame.pts = None
            for piece in resampler.resample(frame):
                pieces.append(piece.to_ndarray().reshape(-1))
                num_samples += pieces[-1].size
            if end is not None and num_samples >= end:
                break
        pieces.extend(piece.to_ndarray().reshape(-1) for piece in resampler.resample(None))
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
    return samples[round(offset_s * SAMPLE_RATE_HZ) : end]


def resample(samples: np.ndarray, *, rate_hz: int) -> np.ndarray:
    """Bring int16 mono samples of another rate to 16 kHz."""
    frame = av.AudioFrame.from_ndarray(samples.astype(np.int16)[None], format="s16", layout="mono")
    frame.sample_rate = rate_hz
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
    pieces = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([piece.to_ndarray().reshape(-1) for piece in pieces])


def write_flac(samples: np.ndarray, path: Path) -> None:
    """Write 16 kHz mono int16 samples as flac; the file appears only once complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    with av.open(str(unfinished), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE_HZ, layout="mono", format="s16")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.pts = 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    unfinished.rename(path)


def duration_s(path: Path) -> float:
    """Length of a flac file in seconds, read from its STREAMINFO header."""
    header = path.read_bytes()[:26] if path.stat().st_size < 26 else path.open("rb").read(26)
    packed = int.from_bytes(header[18:26], "big")
    return (packed & 0xF_FFFF_FFFF) / (packed >> 44)


def convert(source: Path, target: Path, *, container: str | None = None) -> float:
    """Convert one recording unless the target exists.

    Returns:
        its length in seconds; 0 where nothing could be decoded.
    """
    if not target.exists():
        samples = decode(source, container=container)
        if not samples.size:
            return 0.0
        write_flac(samples, target)
    return round(duration_s(target), 3)


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
