"""Samples as they come in -> stretches to answer: a turn of speech each, or what lies between two commits."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from auricle import units
from auricle.audio import SpeechDetector, SpeechStarted, VoiceActivity, Waveform
from auricle.audio.voice_activity import Probability


@dataclass(frozen=True, slots=True)
class Stretch:
    """Sound that belongs together, and where it begins (samples at 16 kHz, of all that were ever heard)."""

    start_sample: int
    waveform: Waveform

    @property
    def end_sample(self) -> int:
        """Where it ends."""
        return self.start_sample + len(self.waveform.samples)


@dataclass(frozen=True, slots=True)
class StretchStarted:
    """Somebody speaks; `sample` lies `pad_s` before."""

    sample: int


@dataclass(frozen=True, slots=True)
class StretchEnded:
    """Nobody has spoken for `min_silence_s`, which the stretch includes, or it is as long as one may be."""

    stretch: Stretch


StretchEvent = StretchStarted | StretchEnded


class Listener:
    """With voice activity, stretches begin and end with speech; without, everything since the last `take` is one.

    What comes out does not depend on the portions that go in. Beside an open stretch, only what may still become the
    beginning of one is kept.
    """

    def __init__(
        self, voice: VoiceActivity | None, *, longest_s: float, probability: Probability | None = None
    ) -> None:
        """Begin to listen.

        Args:
            voice: what counts as speech; None where only `take` ends a stretch.
            longest_s: speech that goes on is cut here; the next stretch begins at once.
            probability: another detector than Silero's.
        """
        self._longest = round(longest_s * units.SAMPLE_RATE)
        self._probability = probability
        self._parts: deque[np.ndarray] = deque()
        self._kept_from = 0
        self.num_heard = 0
        self._free_from = 0  # where the last stretch ended: none begins before
        self._start: int | None = None
        self.listen_for(voice)

    @property
    def num_open(self) -> int:
        """Samples in the open stretch so far; 0 where none is."""
        return 0 if self._start is None else self.num_heard - self._start

    @property
    def open(self) -> Stretch:
        """The open stretch so far; where none is, what is kept."""
        start = max(self._free_from, self._kept_from) if self._start is None else self._start
        return Stretch(start, self._between(start, self.num_heard))

    @property
    def is_full(self) -> bool:
        """Whether the open stretch, which only `take` ends, is as long as one may be."""
        return self._voice is None and self.num_heard - self._free_from >= self._longest

    def listen_for(self, voice: VoiceActivity | None) -> None:
        """From now on by this rule; an open stretch is forgotten."""
        self._voice = voice
        self._detector = None if voice is None else SpeechDetector(voice, probability=self._probability)
        self._detector_from = self.num_heard
        self._free(self.num_heard)

    def push(self, samples: np.ndarray) -> list[StretchEvent]:
        """Hear the next samples, float32 [any number] at 16 kHz -> what became certain."""
        self._parts.append(samples)
        self.num_heard += len(samples)
        events: list[StretchEvent] = []
        if self._detector is None or self._voice is None:
            return events
        silence = round(self._voice.min_silence_s * units.SAMPLE_RATE)
        for event in self._detector.push(samples):
            at = self._detector_from + event.sample
            if isinstance(event, SpeechStarted):
                events.append(self._begin(at - round(self._voice.pad_s * units.SAMPLE_RATE)))
            else:
                events += self._cut_until(at + silence)
                events.append(self._end(at + silence))
        events += self._cut_until(self.num_heard)
        self._forget()
        return events

    def take(self) -> Stretch:
        """End the open stretch here; where none is, take what is kept, which may be nothing."""
        stretch = self.open
        self.clear()
        return stretch

    def clear(self) -> None:
        """Forget what is kept; speech that goes on begins again."""
        if self._detector is not None:
            self._detector.finish()
        self._free(self.num_heard)

    def _begin(self, sample: int) -> StretchStarted:
        self._start = max(sample, self._free_from)
        return StretchStarted(self._start)

    def _end(self, sample: int) -> StretchEnded:
        start = self._free_from if self._start is None else self._start
        self._start, self._free_from = None, sample
        return StretchEnded(Stretch(start, self._between(start, sample)))

    def _cut_until(self, sample: int) -> list[StretchEvent]:
        """Cut what is too long before this sample."""
        events: list[StretchEvent] = []
        while self._start is not None and sample - self._start > self._longest:
            end = self._start + self._longest
            events += [self._end(end), self._begin(end)]
        return events

    def _free(self, sample: int) -> None:
        self._free_from = sample
        self._start = None if self._voice is not None else sample
        self._forget()

    def _forget(self) -> None:
        first = self._free_from
        if self._start is not None:
            first = self._start
        elif self._detector is not None and self._voice is not None:
            pad = round(self._voice.pad_s * units.SAMPLE_RATE)
            first = max(first, self._detector_from + self._detector.undecided_from - pad)
        while self._parts and self._kept_from + len(self._parts[0]) <= first:
            self._kept_from += len(self._parts.popleft())

    def _between(self, start: int, end: int) -> Waveform:
        pieces: list[np.ndarray] = []
        first = self._kept_from
        for part in self._parts:
            pieces.append(part[max(0, start - first) : max(0, end - first)])
            first += len(part)
        return Waveform(np.concatenate(pieces) if pieces else np.zeros(0, np.float32))
