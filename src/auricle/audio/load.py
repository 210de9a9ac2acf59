"""Any recording FFmpeg can decode, from a path, bytes or an array, as 16 kHz mono samples."""

import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
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
        UserError: the file is missing, unreadable, holds no sound, is too short for one audio token, or its samples
            are not finite.
    """
    if isinstance(source, tuple):
        samples = _resample(*source)
        name = "the array"
    else:
        name = "the recording" if isinstance(source, bytes) else str(source)
        samples = _decode(io.BytesIO(source) if isinstance(source, bytes) else _checked_path(source), name)
    if not np.isfinite(samples).all():
        raise UserError(f"samples of {name} are not finite: got NaN or infinity; expected numbers, usually in -1..1")
    try:
        units.tokens_from_frames(units.frames_from_samples(len(samples)))
    except UserError as error:
        raise UserError(f"cannot hear {name}: {error}") from None
    return Waveform(samples)


def _checked_path(path: str | Path) -> str:
    path = Path(path)
    if not os.path.exists(path):  # unlike Path.exists, false for a name that no system could hold
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
            frames = container.decode(audio=0)
            parts = [_mono(part) for _, part in groupby(frames, key=_form)]  # joined files change in their middle
    except PermissionError as error:
        raise UserError(f"cannot read {name}: no permission; allow reading it") from error
    except av.FFmpegError as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"cannot decode {name}: {reason}; expected an audio file that FFmpeg can read") from error
    return np.concatenate([np.zeros(0, np.float32), *parts])


def _resample(array: np.ndarray, rate: int) -> np.ndarray:
    array = np.asarray(array)
    if array.ndim not in (1, 2) or array.dtype.kind not in "iuf":
        raise UserError(
            f"array of {array.dtype} and shape {array.shape}: expected numbers, [samples] or [samples, channels]"
        )
    if not isinstance(rate, int | float | np.number) or not 1 <= rate < 2**31 or rate != int(rate):
        raise UserError(f"rate {rate!r} of the array: expected a whole number of samples per second")
    if np.issubdtype(array.dtype, np.integer):
        info = np.iinfo(array.dtype)
        half = (int(info.max) - int(info.min) + 1) // 2  # 32768 for int16; unsigned samples rest at half their range
        array = (array.astype(np.float32) - (info.max + 1 - half)) / half
    mono = np.ascontiguousarray(array.mean(axis=1) if array.ndim == 2 else array, dtype=np.float32)
    if rate == units.SAMPLE_RATE or not len(mono) or not np.isfinite(mono).all():
        return mono
    frame = av.AudioFrame.from_ndarray(mono[None, :], format="fltp", layout="mono")
    frame.sample_rate = int(rate)
    return _mono([frame])


def _form(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _mono(frames: Iterable[av.AudioFrame]) -> np.ndarray:
    """Frames of one form -> 16 kHz samples, the mean of the channels.

    FFmpeg's own mix of float channels adds them at 0.7 each: louder than full scale, and unlike every reference.
    """
    resampler = av.AudioResampler(format="fltp", rate=units.SAMPLE_RATE)
    chunks = []
    for frame in frames:
        frame.pts = None  # a gap in the time stamps is no error
        chunks += resampler.resample(frame)
    chunks += resampler.resample(None)
    return np.concatenate([np.zeros(0, np.float32), *(chunk.to_ndarray().mean(axis=0) for chunk in chunks)])
