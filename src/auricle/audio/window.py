"""A piece of a recording, and where a stretch that is too long for one piece is cut: where it is quietest."""

from dataclasses import dataclass

import numpy as np

from auricle import units
from auricle.audio.load import Waveform

_SEARCH_SAMPLES = 5 * units.SAMPLE_RATE  # the cut lies in the last 5 s of a full window
_QUIET_SAMPLES = units.SAMPLE_RATE // 10  # at the centre of the quietest 100 ms
_REST_SAMPLES = units.SAMPLE_RATE  # the rest is never shorter than 1 s, or a quarter of a short window


@dataclass(frozen=True, slots=True)
class Window:
    """What is said from one sample of a recording to another, and the sound that the model hears of it.

    start_sample, end_sample: of the speech, at 16 kHz; or of the sound, where nobody asked for speech.
    waveform: the sound; it may begin a little before the speech and end a little after it.
    speech_probability: the mean from start to end; None where nobody asked.
    """

    start_sample: int
    end_sample: int
    waveform: Waveform
    speech_probability: float | None = None

    @property
    def start_s(self) -> float:
        """Where it begins, in seconds."""
        return self.start_sample / units.SAMPLE_RATE

    @property
    def end_s(self) -> float:
        """Where it ends, in seconds."""
        return self.end_sample / units.SAMPLE_RATE


def shortest_rest(longest: int) -> int:
    """How many samples a cut leaves at least."""
    return min(_REST_SAMPLES, longest // 4)


def quietest(samples: np.ndarray, longest: int) -> int:
    """The centre of the quietest 100 ms of the end: the last 5 s, or half a window where that is less."""
    first = len(samples) - min(_SEARCH_SAMPLES, longest // 2)
    power = np.square(samples[first:], dtype=np.float64)
    energy = np.cumsum(np.concatenate(([0.0], power)))
    quiet = energy[_QUIET_SAMPLES:] - energy[:-_QUIET_SAMPLES]
    return first + int(quiet.argmin()) + _QUIET_SAMPLES // 2
