"""A recording's stretches of speech as windows that the encoder can hear, with a little of the pauses around them."""

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from auricle import units
from auricle.audio.load import Waveform
from auricle.audio.voice_activity import CHUNK_SAMPLES, Probability, SpeechDetector, SpeechStarted, VoiceActivity
from auricle.audio.window import Window, quietest, shortest_rest


def speech_windows(
    parts: Iterable[np.ndarray], voice: VoiceActivity, longest: int, *, probability: Probability | None = None
) -> Iterator[Window]:
    """Samples in parts of any size -> a window for every stretch of speech; longer ones are cut where it is quietest.

    A window comes as soon as it is known where the next one could begin. Holds one window, and the pauses that the
    detector has not decided on. What comes out depends on the samples alone.

    Args:
        parts: float32 [any number] at 16 kHz.
        voice: what counts as speech; a pause is heard with its neighbours for a quarter of `longest` at most.
        longest: samples; no window's sound is longer.
        probability: another detector than Silero's.
    """
    cutter = _Cutter(voice, longest, SpeechDetector(voice, probability=probability))
    for chunk in _chunks(parts):
        yield from cutter.push(chunk)
    yield from cutter.finish()


class _Kept:
    """The last chunks of a recording, with their probabilities; places are samples from its start."""

    def __init__(self) -> None:
        self._chunks: deque[tuple[int, np.ndarray, float]] = deque()
        self.end = 0

    def add(self, chunk: np.ndarray, probability: float) -> None:
        self._chunks.append((self.end, chunk, probability))
        self.end += len(chunk)

    def drop(self, before: int) -> None:
        while self._chunks and self._chunks[0][0] + len(self._chunks[0][1]) <= before:
            self._chunks.popleft()

    def samples(self, start: int, end: int) -> np.ndarray:
        first = self._chunks[0][0]
        near = [chunk for place, chunk, _ in self._chunks if place < end]
        return np.concatenate(near)[start - first : end - first]

    def mean_probability(self, start: int, end: int) -> float:
        inside = [each for place, chunk, each in self._chunks if place < end and place + len(chunk) > start]
        return sum(inside) / len(inside)


class _Cutter:
    def __init__(self, voice: VoiceActivity, longest: int, detector: SpeechDetector) -> None:
        self._longest = longest
        self._pad = min(round(voice.pad_s * units.SAMPLE_RATE), longest // 4)
        self._detector = detector
        self._kept = _Kept()
        self._start: int | None = None  # of the speech, and
        self._from = 0  # of the sound of the window that comes next
        self._end: int | None = None  # of its stretch, once it is known
        self._taken = 0  # where the sound of the last window ended

    def push(self, chunk: np.ndarray) -> Iterator[Window]:
        """The next 512 samples; fewer are the last ones."""
        events = self._detector.push(chunk)
        if len(chunk) < CHUNK_SAMPLES:
            events += self._detector.finish()
        self._kept.add(chunk, self._detector.probability)
        for event in events:
            if isinstance(event, SpeechStarted):
                yield from self._close(event.sample)
                self._start, self._from = event.sample, max(event.sample - self._pad, self._taken)
            else:
                self._end = event.sample
        undecided = self._detector.undecided_from
        if self._end is None:
            yield from self._cut_open()
        elif undecided >= self._end + 2 * self._pad:
            yield from self._close(undecided)
        self._kept.drop(max(undecided - self._pad, self._taken) if self._start is None else self._from)

    def finish(self) -> Iterator[Window]:
        """Nothing follows."""
        for event in self._detector.finish():
            self._end = event.sample
        yield from self._close(self._kept.end + 2 * self._pad)

    def _cut_open(self) -> Iterator[Window]:
        """What is too long already of a stretch that goes on."""
        shortest = shortest_rest(self._longest)
        while self._start is not None and self._detector.spoken_until - self._from >= self._longest + shortest:
            sound = self._kept.samples(self._from, self._from + self._longest)
            yield self._window(self._start, self._from + quietest(sound, self._longest))

    def _close(self, next_start: int) -> Iterator[Window]:
        """The rest of a stretch that has ended; the pause after it is shared with the one that begins there."""
        if self._start is None or self._end is None:
            return
        end = min(self._end + self._pad, (self._end + next_start) // 2, self._kept.end)
        shortest = max(shortest_rest(self._longest), end - self._end + CHUNK_SAMPLES)
        while end - self._from > self._longest:
            sound = self._kept.samples(self._from, min(self._from + self._longest, end - shortest))
            yield self._window(self._start, self._from + quietest(sound, self._longest))
        yield self._window(self._start, self._end, end)
        self._start = self._end = None

    def _window(self, start: int, end: int, until: int | None = None) -> Window:
        """Speech from start to end, and its sound, which begins where the last one's ended or before the speech."""
        until = end if until is None else until
        sound = Waveform(self._kept.samples(self._from, until))
        self._start = self._from = self._taken = until
        return Window(start, end, sound, self._kept.mean_probability(start, end))


def _chunks(parts: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same samples 512 at a time; the last ones are fewer."""
    rest = np.zeros(0, np.float32)
    for part in parts:
        rest = np.concatenate([rest, part])
        num_whole = len(rest) // CHUNK_SAMPLES * CHUNK_SAMPLES
        yield from rest[:num_whole].reshape(-1, CHUNK_SAMPLES)
        rest = rest[num_whole:]
    yield rest
