"""A long recording in pieces that the encoder can hear, cut where it is quietest, as it is decoded."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from auricle import units
from auricle.audio.load import Waveform, blocks
from auricle.audio.source import Source
from auricle.errors import UserError

_SEARCH_SAMPLES = 5 * units.SAMPLE_RATE  # the cut lies in the last 5 s of a full window
_QUIET_SAMPLES = units.SAMPLE_RATE // 10  # at the centre of the quietest 100 ms
_LAST_SAMPLES = units.SAMPLE_RATE  # the rest is never shorter than 1 s, or a quarter of a short window


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a recording, and where in it the piece begins (samples at 16 kHz)."""

    start_sample: int
    waveform: Waveform

    @property
    def start_s(self) -> float:
        """Where the piece begins, in seconds."""
        return self.start_sample / units.SAMPLE_RATE

    @property
    def end_s(self) -> float:
        """Where the next piece begins, in seconds."""
        return self.start_s + self.waveform.duration_s


def stream_windows(source: Source, *, longest_s: float = units.WINDOW_S) -> Iterator[Window]:
    """The windows of `cut_windows(load(source))`, each as soon as enough is decoded to know where it ends.

    Holds one window and a second more in memory, however long the recording is.

    Args:
        source: as for `load`.
        longest_s: no window is longer; 1 to 30 s.

    Raises:
        UserError: as `load`, when the reading comes to what is wrong; or longest_s is out of range, at once.
    """
    return _cut(blocks(source), _longest_samples(longest_s))


def cut_windows(waveform: Waveform, *, longest_s: float = units.WINDOW_S) -> list[Waveform]:
    """Windows of at most `longest_s` (1 to 30 s) that together are the whole recording, in order."""
    return [window.waveform for window in _cut([waveform.samples], _longest_samples(longest_s))]


def _longest_samples(longest_s: float) -> int:
    if not isinstance(longest_s, int | float) or not 1 <= longest_s <= units.WINDOW_S:
        raise UserError(f"longest_s must lie in 1 to {units.WINDOW_S} s: got {longest_s!r}")
    return int(longest_s * units.SAMPLE_RATE)


def _cut(parts: Iterable[np.ndarray], longest: int) -> Iterator[Window]:
    start = 0
    for samples in cut_parts(parts, longest):
        yield Window(start, Waveform(samples))
        start += len(samples)


def cut_parts(parts: Iterable[np.ndarray], longest: int) -> Iterator[np.ndarray]:
    """Samples in parts of any size -> pieces; where the cuts lie depends on the samples alone."""
    last = min(_LAST_SAMPLES, longest // 4)
    rest = np.zeros(0, np.float32)
    for part in parts:
        rest = np.concatenate([rest, part]) if len(rest) else part
        while len(rest) >= longest + last:
            end = _quietest(rest[:longest], longest)
            yield rest[:end]
            rest = rest[end:]
    while len(rest) > longest:
        end = _quietest(rest[: len(rest) - last], longest)
        yield rest[:end]
        rest = rest[end:]
    yield rest


def _quietest(samples: np.ndarray, longest: int) -> int:
    """The centre of the quietest 100 ms of the end: the last 5 s, or half a window where that is less."""
    first = len(samples) - min(_SEARCH_SAMPLES, longest // 2)
    power = np.square(samples[first:], dtype=np.float64)
    energy = np.cumsum(np.concatenate(([0.0], power)))
    quiet = energy[_QUIET_SAMPLES:] - energy[:-_QUIET_SAMPLES]
    return first + int(quiet.argmin()) + _QUIET_SAMPLES // 2
