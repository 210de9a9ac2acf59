"""Recordings are decoded in a process of their own, with limits on time and memory."""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from auricle import units
from auricle.audio import Decoded
from auricle.audio.load import blocks
from auricle.serve.errors import ApiError
from auricle.serve.settings import ServeSettings


class Decoder:
    """Bytes that a stranger sent -> sound."""

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings

    def decode(self, file: BinaryIO, name: str) -> Decoded:
        """A recording to give to the assistant as a source; it is decoded as it is heard.

        Its blocks raise UserError where it cannot be decoded, ApiError 413 where it is longer than the limit.
        """

        def limited() -> Iterator[np.ndarray]:
            num_samples = 0
            for block in blocks(file):
                num_samples += len(block)
                if num_samples > self._settings.max_duration_s * units.SAMPLE_RATE:
                    raise ApiError(
                        413, f"{name} is longer than {self._settings.max_duration_s:g} s, the most this server takes"
                    )
                yield block

        return Decoded(name, limited)

    def close(self) -> None:
        """Stop the process."""
