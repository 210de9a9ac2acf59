"""Recordings as 16 kHz mono 16-bit flac files, each made once.

FFmpeg resamples and mixes the 16-bit samples itself here, and raw formats are named by the caller; so the embedded
model's training data were made, and a recording gives the same samples in both places.
"""

from pathlib import Path

import av
import numpy as np

from auricle import units


def decode_int16(path: Path, *, container: str | None = None) -> np.ndarray:
    """Read any recording FFmpeg knows as 16 kHz mono int16 [samples]; empty where it holds none.

    Args:
        path: the recording.
        container: FFmpeg's name of the format where the file cannot say it itself (`g722`).
    """
    resampler = av.AudioResampler(format="s16", layout="mono", rate=units.SAMPLE_RATE)
    pieces: list[np.ndarray] = []
    with av.open(str(path), format=container) as recording:
        for frame in recording.decode(audio=0):
            frame.pts = None
            pieces.extend(piece.to_ndarray().reshape(-1) for piece in resampler.resample(frame))
        pieces.extend(piece.to_ndarray().reshape(-1) for piece in resampler.resample(None))
    return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)


def write_flac(samples: np.ndarray, path: Path) -> None:
    """Write 16 kHz mono int16 [samples]; the file appears only once complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    with av.open(str(unfinished), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=units.SAMPLE_RATE, layout="mono", format="s16")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="s16", layout="mono")
        frame.sample_rate = units.SAMPLE_RATE
        frame.pts = 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    unfinished.rename(path)


def flac_duration_s(path: Path) -> float:
    """Length of a flac file in seconds, read from its STREAMINFO header."""
    with path.open("rb") as file:
        header = file.read(26)
    packed = int.from_bytes(header[18:26], "big")
    return (packed & 0xF_FFFF_FFFF) / (packed >> 44)


def convert(source: Path, target: Path, *, container: str | None = None) -> float:
    """Convert one recording unless the target exists.

    Returns:
        Its length in seconds; 0 where nothing could be decoded.
    """
    if not target.exists():
        samples = decode_int16(source, container=container)
        if not samples.size:
            return 0.0
        write_flac(samples, target)
    return round(flac_duration_s(target), 3)
