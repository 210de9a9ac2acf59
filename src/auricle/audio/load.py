"""Any recording FFmpeg can decode, from a path, bytes or an array, as 16 kHz mono samples."""

import io
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from auricle import units
from auricle.errors import UserError

Source = str | Path | bytes | tuple[np.ndarray, int]


@dataclass(frozen=True, slots=True)
class Waveform:
    """samples float32 [samples] in -1..1, 16 000 per second, one channel."""

    samples: np.ndarray

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / units.SAMPLE_RATE


def load(source: Source) -> Waveform:
    """Decode a recording, mix it down to one channel and resample it to 16 kHz.

    Args:
        source: a path, the bytes of a file, or `(array, rate)` with samples [samples] or [samples, channels].

    Raises:
        UserError: the file is missing, unreadable, holds no sound, or its samples are not finite.
    """
    if isinstance(source, tuple):
        samples = _resample(*source)
        name = "the array"
    else:
        name = "the recording" if isinstance(source, bytes) else str(source)
        samples = _decode(io.BytesIO(source) if isinstance(source, bytes) else _checked_path(source), name)
    if not len(samples):
        raise UserError(f"no sound in {name}: got 0 samples; give a recording of at least 30 ms")
    if not np.isfinite(samples).all():
        raise UserError(f"samples of {name} are not finite: got NaN or infinity; expected numbers, usually in -1..1")
    return Waveform(samples)


def _checked_path(path: str | Path) -> str:
    path = Path(path)
    if not path.exists():
        raise UserError(f"no such file: {path}; check the path")
    if path.is_dir():
        raise UserError(f"{path} is a directory, expected an audio file; name the files in it")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty (0 bytes), expected an audio file")
    return str(path)


def _decode(file: io.BytesIO | str, name: str) -> np.ndarray:
    try:
        with av.open(file, mode="r", metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise UserError(f"no sound track in {name}: got a file without audio; give a recording with sound")
            resampler = _resampler()
            chunks = []
            for frame in container.decode(audio=0):
                frame.pts = None  # a gap in the time stamps is no error
                chunks += resampler.resample(frame)
            chunks += resampler.resample(None)
    except PermissionError as error:
        raise UserError(f"cannot read {name}: no permission; allow reading it") from error
    except av.FFmpegError as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"cannot decode {name}: {reason}; expected an audio file that FFmpeg can read") from error
    return _concatenate(chunks)


def _resample(array: np.ndarray, rate: int) -> np.ndarray:
    array = np.asarray(array)
    if array.ndim not in (1, 2) or not rate > 0:
        raise UserError(
            f"array of shape {array.shape} at rate {rate}: expected [samples] or [samples, channels], "
            "and a positive rate"
        )
    if np.issubdtype(array.dtype, np.integer):
        array = array.astype(np.float32) / -float(np.iinfo(array.dtype).min or -1)
    mono = np.ascontiguousarray(array.mean(axis=1) if array.ndim == 2 else array, dtype=np.float32)
    if rate == units.SAMPLE_RATE or not len(mono) or not np.isfinite(mono).all():
        return mono
    frame = av.AudioFrame.from_ndarray(mono[None, :], format="flt", layout="mono")
    frame.sample_rate = rate
    resampler = _resampler()
    return _concatenate([*resampler.resample(frame), *resampler.resample(None)])


def _resampler() -> av.AudioResampler:
    return av.AudioResampler(format="flt", layout="mono", rate=units.SAMPLE_RATE)


def _concatenate(frames: list[av.AudioFrame]) -> np.ndarray:
    arrays = [frame.to_ndarray().reshape(-1) for frame in frames]
    return np.concatenate(arrays).astype(np.float32) if arrays else np.zeros(0, np.float32)
