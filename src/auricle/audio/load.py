"""Any recording FFmpeg can decode, from a path, a stream, bytes or an array, as 16 kHz mono samples."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from auricle import units
from auricle.audio.array import array_frames
from auricle.audio.decode import decode_blocks, resample
from auricle.audio.source import Decoded, Source, name_of, open_source
from auricle.errors import UserError


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
        source: a path (`-` is standard input), the bytes of a file, a binary file object (anything with `read`), or
            `(array, rate)` with samples [samples] or [samples, channels].

    Raises:
        UserError: the recording is missing, unreadable, holds no sound, is too short for one audio token, or its
            samples are not finite.
    """
    return Waveform(np.concatenate(list(blocks(source))))


def blocks(source: Source) -> Iterator[np.ndarray]:
    """What `load` gives, a second or less at a time: float32 [samples]; raises when it comes to what is wrong."""
    name, num_samples = name_of(source), 0
    for block in _decoded(source, name):
        if not np.isfinite(block).all():
            raise UserError(
                f"samples of {name} are not finite: got NaN or infinity; expected numbers, usually in -1..1"
            )
        num_samples += len(block)
        yield block
    try:
        units.tokens_from_frames(units.frames_from_samples(num_samples))
    except UserError as error:
        raise UserError(f"cannot hear {name}: {error}") from None


def _decoded(source: Source, name: str) -> Iterator[np.ndarray]:
    if isinstance(source, Decoded):
        yield from source.blocks()
    elif isinstance(source, tuple):
        if len(source) != 2:
            raise UserError(f"a tuple of {len(source)}: expected (array, rate)")
        yield from resample(array_frames(*source))
    else:
        with open_source(source) as file:
            yield from decode_blocks(file, name)
