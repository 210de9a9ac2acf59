"""Where somebody speaks, found while the sound comes in: Silero's detector, 32 ms at a time, and a rule over it."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from auricle import units
from auricle.audio.silero import CHUNK_SAMPLES, Silero
from auricle.errors import UserError

_HYSTERESIS = 0.15  # speech goes on until its probability is so much below the threshold, but not below
_LOWEST = 0.01  # this: both are those of Silero's own get_speech_timestamps
_SHORTEST_SAMPLES = 3 * units.HOP_SAMPLES  # shorter ones give the encoder no audio token

Probability = Callable[[np.ndarray], float]  # float32 [512] -> that of speech; keeps what it heard before in mind


@dataclass(frozen=True, slots=True)
class VoiceActivity:
    """What counts as speech, and what as a pause between two stretches of it; docs/log.md says how they were chosen.

    threshold: speech begins where its probability reaches this, and goes on until it is 0.15 lower.
    min_silence_s: a shorter pause does not end a stretch of speech.
    min_speech_s: a stretch in which less is spoken is none.
    pad_s: so much of the pause before and after is heard with a stretch; at most half of the pause between two.

    Raises:
        UserError: a threshold outside of 0 to 1, or a length that is negative or no number.
    """

    threshold: float = 0.3
    min_silence_s: float = 0.5
    min_speech_s: float = 0.1
    pad_s: float = 0.4

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise UserError(
                f"the threshold of voice activity must lie between 0 and 1: got {self.threshold}; 0.3 is the default"
            )
        for name in ("min_silence_s", "min_speech_s", "pad_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"{name} of voice activity must not be negative: got {getattr(self, name)} s")


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech begins at this sample, counted from the first one pushed."""

    sample: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """Speech ended before this sample."""

    sample: int


SpeechEvent = SpeechStarted | SpeechEnded


class SpeechDetector:
    """Samples in as they come, starts and ends of speech out, in turn; what comes out does not depend on the portions.

    A start is told once `min_speech_s` of speech are heard, an end once `min_silence_s` of silence are; both name the
    sample where they were, without `pad_s`. It keeps less than 512 samples.
    """

    def __init__(self, voice: VoiceActivity, *, probability: Probability | None = None) -> None:
        """Begin to listen.

        Args:
            voice: what counts as speech.
            probability: another detector than Silero's.
        """
        self._voice = voice
        self._probabilities = Silero() if probability is None else _one_by_one(probability)
        self._min_silence = round(voice.min_silence_s * units.SAMPLE_RATE)
        self._min_speech = max(round(voice.min_speech_s * units.SAMPLE_RATE), _SHORTEST_SAMPLES)
        self._rest = np.zeros(0, np.float32)
        self._heard = 0  # samples of whole chunks
        self._loud = False
        self._started: int | None = None  # of a stretch, told or not yet
        self._ended = 0
        self._spoken = 0
        self.speaking = False
        self.probability = 0.0

    @property
    def undecided_from(self) -> int:
        """No stretch of speech that is told later begins before this sample."""
        return self._heard if self._started is None or self.speaking else self._started

    @property
    def spoken_until(self) -> int:
        """Where the speech that was heard last ended so far; the stretch may go on."""
        return self._ended

    def push(self, samples: np.ndarray) -> list[SpeechEvent]:
        """Hear the next samples, float32 [any number] at 16 kHz -> what became certain."""
        rest = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        num_whole = len(rest) // CHUNK_SAMPLES * CHUNK_SAMPLES
        self._rest = np.array(rest[num_whole:], np.float32)
        chunks = np.asarray(rest[:num_whole], np.float32).reshape(-1, CHUNK_SAMPLES)
        return self._hear(chunks, CHUNK_SAMPLES)

    def finish(self) -> list[SpeechEvent]:
        """Nothing follows -> what is certain now; speech that goes on ends here."""
        events: list[SpeechEvent] = []
        if num_last := len(self._rest):
            chunk = np.zeros(CHUNK_SAMPLES, np.float32)
            chunk[:num_last] = self._rest
            self._rest = self._rest[:0]
            events += self._hear(chunk[None], num_last)
        return events + self._end()

    def _hear(self, chunks: np.ndarray, num_samples: int) -> list[SpeechEvent]:
        """Chunks of so many samples that are real."""
        probabilities = self._probabilities(chunks)
        return [event for probability in probabilities for event in self._judge(float(probability), num_samples)]

    def _judge(self, probability: float, num_samples: int) -> list[SpeechEvent]:
        start = self._heard
        self._heard += num_samples
        self.probability = probability
        if self.probability >= self._voice.threshold:
            self._loud = True
        elif self.probability < max(self._voice.threshold - _HYSTERESIS, _LOWEST):
            self._loud = False
        if not self._loud:
            is_over = self._started is not None and self._heard - self._ended >= self._min_silence
            return self._end() if is_over else []
        if self._started is None:
            self._started, self._spoken = start, 0
        self._spoken += num_samples
        self._ended = self._heard
        if self.speaking or self._spoken < self._min_speech:
            return []
        self.speaking = True
        return [SpeechStarted(self._started)]

    def _end(self) -> list[SpeechEvent]:
        events: list[SpeechEvent] = [SpeechEnded(self._ended)] if self.speaking else []
        self._started, self._loud, self.speaking = None, False, False
        return events


def _one_by_one(probability: Probability) -> Callable[[np.ndarray], Iterable[float]]:
    return lambda chunks: map(probability, chunks)
