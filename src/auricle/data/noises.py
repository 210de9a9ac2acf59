"""Noise to mix under speech: a folder of recordings, or noise made on the spot."""

from collections import OrderedDict
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from auricle import units
from auricle.audio.load import blocks
from auricle.data.effects import fast_length
from auricle.data.reading import is_recording
from auricle.errors import UserError

_LONGEST_S = 300  # heard of one noise recording, from its start
_KEPT_SAMPLES = 2**24  # 17 minutes, 64 MiB, in each worker
_LOWEST_HZ = 20.0  # below it the power stays
_STEEPEST = 2.0  # brown noise: power falls with the square of the frequency


class Noises(Protocol):
    """Where noise comes from; the same generator gives the same noise, whatever was drawn before."""

    def draw(self, num_samples: int, rng: np.random.Generator) -> np.ndarray:
        """float32 [num_samples] at 16 kHz."""


class ColouredNoise:
    """Gaussian noise whose power falls with the frequency to a drawn power, from white (0) to brown (2)."""

    def draw(self, num_samples: int, rng: np.random.Generator) -> np.ndarray:
        """float32 [num_samples] with a mean square of 0.01."""
        size = fast_length(max(num_samples, units.SAMPLE_RATE))
        slope = rng.uniform(0, _STEEPEST)
        real, imaginary = rng.standard_normal((2, 1 + size // 2))
        falling = np.maximum(np.arange(1 + size // 2), size * _LOWEST_HZ / units.SAMPLE_RATE) ** (-slope / 2)
        falling[0] = 0.0  # no constant part
        noise = np.fft.irfft((real + 1j * imaginary) * falling, size)[:num_samples]
        return (noise * (0.1 / np.sqrt(np.mean(noise**2)))).astype(np.float32)


class NoiseFolder:
    """Recordings of noise in a folder and its folders, decoded when drawn; the latest ones stay in memory.

    Raises:
        UserError: there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UserError(
                f"augment.noise is no folder: got {folder}, expected one of noise recordings; check the path"
            )
        self.folder = folder
        self._paths: list[Path] = []
        self._kept: OrderedDict[Path, np.ndarray] = OrderedDict()

    def __reduce__(self) -> tuple[type["NoiseFolder"], tuple[Path]]:
        return NoiseFolder, (self.folder,)

    def draw(self, num_samples: int, rng: np.random.Generator) -> np.ndarray:
        """A stretch of a recording, repeated where the recording is shorter.

        Raises:
            UserError: the folder holds no recording, or one that cannot be heard.
        """
        paths = self._list()
        noise = self._decode(paths[int(rng.integers(len(paths)))])
        start = int(rng.integers(max(1, len(noise) - num_samples + 1)))
        return np.resize(noise[start:], num_samples)

    def _list(self) -> list[Path]:
        if not self._paths:
            self._paths = sorted(path for path in self.folder.rglob("*") if is_recording(path.name))
        if not self._paths:
            raise UserError(f"no noise in {self.folder}: got no audio file, expected a folder of them; check the path")
        return self._paths

    def _decode(self, path: Path) -> np.ndarray:
        if path not in self._kept:
            self._kept[path] = np.concatenate(list(islice(blocks(path), _LONGEST_S)))  # blocks of a second
            while sum(map(len, self._kept.values())) > max(_KEPT_SAMPLES, len(self._kept[path])):
                self._kept.popitem(last=False)
        self._kept.move_to_end(path)
        return self._kept[path]
