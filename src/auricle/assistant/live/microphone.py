"""Bytes as a microphone or a telephone sends them, in portions of any size -> samples at 16 kHz."""

from dataclasses import dataclass
from typing import Literal

import av
import numpy as np

from auricle import units
from auricle.errors import UserError

RATES = range(8_000, 48_001)  # samples/s of PCM
_G711_RATE = 8_000


@dataclass(frozen=True, slots=True)
class Encoding:
    """How samples stand in bytes, one channel.

    kind: "pcm", 16-bit little-endian; "pcmu" and "pcma", a byte each: ITU-T G.711's mu-law and A-law.
    rate: samples/s, 8000 to 48000; 8000 for G.711.
    """

    kind: Literal["pcm", "pcmu", "pcma"] = "pcm"
    rate: int = 24_000

    def __post_init__(self) -> None:
        if self.rate not in RATES:
            raise UserError(f"the microphone's rate must lie in {RATES[0]} to {RATES[-1]} samples/s: got {self.rate}")
        if self.kind != "pcm" and self.rate != _G711_RATE:
            raise UserError(f"G.711 sound has {_G711_RATE} samples/s: got {self.rate}; leave the rate out")


class Microphone:
    """Bytes in, samples out; they do not depend on the portions, and nothing clicks between two of them."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self._table = _TABLES[encoding.kind]() if encoding.kind in _TABLES else None
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=units.SAMPLE_RATE)

    def push(self, data: bytes) -> np.ndarray:
        """The next bytes -> float32 [samples] at 16 kHz; the last millisecond of them comes with the next ones.

        Raises:
            UserError: half a sample.
        """
        if self._table is None and len(data) % 2:
            raise UserError(f"{len(data)} bytes of 16-bit sound: expected an even number, two for each sample")
        if not data:
            return np.zeros(0, np.float32)
        samples = np.frombuffer(data, "<i2") if self._table is None else self._table[np.frombuffer(data, np.uint8)]
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.int16)[None], format="s16", layout="mono")
        frame.sample_rate = self.encoding.rate
        return self._resample(frame)

    def finish(self) -> np.ndarray:
        """The rest; nothing may follow."""
        return self._resample(None)

    def _resample(self, frame: av.AudioFrame | None) -> np.ndarray:
        out = [frame.to_ndarray()[0] for frame in self._resampler.resample(frame)]
        return np.concatenate(out) if out else np.zeros(0, np.float32)


def _mu_law() -> np.ndarray:
    """int16 [256], the sample that each byte means (G.711, table 2a, on a scale of 16 bits)."""
    code = ~np.arange(256) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84) << (code >> 4 & 7)
    return np.where(code & 0x80, 0x84 - magnitude, magnitude - 0x84).astype(np.int16)


def _a_law() -> np.ndarray:
    """int16 [256], the sample that each byte means (G.711, table 1a, on a scale of 16 bits)."""
    code = np.arange(256) ^ 0x55
    step, segment = (code & 0x0F) << 4, code >> 4 & 7
    magnitude = np.where(segment == 0, step + 8, (step + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


_TABLES = {"pcmu": _mu_law, "pcma": _a_law}
