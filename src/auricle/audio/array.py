"""An array of samples as frames, so that it takes the same way as a file's sound track."""

from collections.abc import Iterator

import av
import numpy as np

from auricle.audio.decode import RATES
from auricle.errors import UserError

_FRAME_SAMPLES = 2**18
_MOST_CHANNELS = 64


def array_frames(array: np.ndarray, rate: int) -> Iterator[av.AudioFrame]:
    """Samples [samples] or [samples, channels] -> mono frames; whole numbers are scaled to -1..1.

    Raises:
        UserError: the array or its rate is none of sound.
    """
    array, rate = _checked_array(array), _checked_rate(rate)
    for start in range(0, len(array), _FRAME_SAMPLES):
        mono = _mono(array[start : start + _FRAME_SAMPLES])
        frame = av.AudioFrame.from_ndarray(mono[None, :], format="flt", layout="mono")
        frame.sample_rate = rate
        yield frame


def _checked_array(array: object) -> np.ndarray:
    try:
        array = np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists; tensors on a device or with a gradient
        raise UserError(
            f"cannot take the array as one: {str(error).splitlines()[0]}; give numbers as NumPy holds them"
        ) from None
    fits = array.ndim == 1 or (array.ndim == 2 and 1 <= array.shape[1] <= _MOST_CHANNELS)
    if not fits or array.dtype.kind not in "iuf":
        raise UserError(
            f"array of {array.dtype} and shape {array.shape}: expected numbers, [samples] or [samples, channels]"
        )
    if array.dtype.kind in "iu" and array.dtype.itemsize > 4:
        raise UserError(
            f"array of {array.dtype}: its full scale is unknown; convert it to int16, int32 or to float in -1..1"
        )
    return array


def _checked_rate(rate: object) -> int:
    if not isinstance(rate, int | float | np.number) or not RATES[0] <= rate <= RATES[-1] or rate != int(rate):
        raise UserError(
            f"rate {rate!r} of the array: expected a whole number of samples per second, {RATES[0]} to {RATES[-1]}"
        )
    return int(rate)


def _mono(samples: np.ndarray) -> np.ndarray:
    """float32 [samples] in -1..1 of [samples] or [samples, channels]."""
    with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite, and is refused as such
        if samples.dtype.kind in "iu":
            info = np.iinfo(samples.dtype)
            half = (int(info.max) - int(info.min) + 1) // 2  # 32768 for int16
            rest = int(info.max) + 1 - half  # 0; half the range where samples are unsigned
            samples = (samples.astype(np.float32) - rest) / half
        mono = samples.mean(axis=1) if samples.ndim == 2 else samples
        return np.ascontiguousarray(mono, dtype=np.float32)
