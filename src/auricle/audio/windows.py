"""A long recording in pieces that the encoder can hear, as it is decoded: stretches of speech, or all of it."""

from collections.abc import Iterable, Iterator

import numpy as np

from auricle import units
from auricle.audio.load import Waveform, blocks
from auricle.audio.source import Source
from auricle.audio.speech_windows import speech_windows
from auricle.audio.voice_activity import VoiceActivity
from auricle.audio.window import Window, quietest, shortest_rest
from auricle.errors import UserError


class Windows(Iterator[Window]):
    """A recording's windows, in order, each as soon as enough is decoded to know where it ends."""

    def __init__(self, source: Source, longest: int, voice: VoiceActivity | None) -> None:
        self._num_samples = 0
        parts = self._counted(source)
        self._windows = _cut(parts, longest) if voice is None else speech_windows(parts, voice, longest)

    @property
    def duration_s(self) -> float:
        """How much is decoded so far; after the last window, the length of the recording."""
        return self._num_samples / units.SAMPLE_RATE

    def __next__(self) -> Window:
        return next(self._windows)

    def _counted(self, source: Source) -> Iterator[np.ndarray]:
        for block in blocks(source):
            self._num_samples += len(block)
            yield block


def stream_windows(source: Source, *, longest_s: float = units.WINDOW_S, voice: VoiceActivity | None = None) -> Windows:
    """A recording in windows, as it is decoded.

    Without `voice`: those of `cut_windows(load(source))`, which hold all of it, cut at quiet points. With it: one for
    every stretch of speech, cut at quiet points where it is longer than a window; silence has none. Either way a window
    and a few seconds more are in memory, however long the recording is.

    Args:
        source: as for `load`.
        longest_s: no window's sound is longer; 1 to 30 s.
        voice: what counts as speech; None takes everything.

    Raises:
        UserError: as `load`, when the reading comes to what is wrong; or longest_s is out of range, at once.
    """
    return Windows(source, _longest_samples(longest_s), voice)


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
        end = start + len(samples)
        yield Window(start, end, Waveform(samples))
        start = end


def cut_parts(parts: Iterable[np.ndarray], longest: int) -> Iterator[np.ndarray]:
    """Samples in parts of any size -> pieces; where the cuts lie depends on the samples alone."""
    last = shortest_rest(longest)
    rest = np.zeros(0, np.float32)
    for part in parts:
        rest = np.concatenate([rest, part]) if len(rest) else part
        while len(rest) >= longest + last:
            end = quietest(rest[:longest], longest)
            yield rest[:end]
            rest = rest[end:]
    while len(rest) > longest:
        end = quietest(rest[: len(rest) - last], longest)
        yield rest[:end]
        rest = rest[end:]
    yield rest
