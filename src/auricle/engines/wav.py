"""A recording as a wav file, sample for sample."""

import numpy as np

from auricle import units
from auricle.audio import Waveform

_PCM, _FLOAT = 1, 3  # format tags of the RIFF WAVE specification


def encode_wav(waveform: Waveform) -> bytes:
    """16-bit where that loses nothing, as for most files, else 32-bit float."""
    scaled = waveform.samples * 32768.0
    exact = bool(np.all(scaled == np.rint(scaled)) and np.all((scaled >= -32768) & (scaled <= 32767)))
    samples = scaled.astype("<i2") if exact else waveform.samples.astype("<f4")
    return _header(samples, _PCM if exact else _FLOAT) + samples.tobytes()


def _header(samples: np.ndarray, tag: int) -> bytes:
    """RIFF, fmt (tag, 1 channel, samples/s, bytes/s, bytes a frame, bits a sample) and the head of the data chunk."""
    width, rate = samples.itemsize, units.SAMPLE_RATE

    def number(value: int, num_bytes: int) -> bytes:
        return value.to_bytes(num_bytes, "little")

    form = number(tag, 2) + number(1, 2) + number(rate, 4) + number(rate * width, 4) + number(width, 2)
    form += number(8 * width, 2)
    chunks = b"WAVEfmt " + number(len(form), 4) + form + b"data" + number(samples.nbytes, 4)
    return b"RIFF" + number(len(chunks) + samples.nbytes, 4) + chunks
