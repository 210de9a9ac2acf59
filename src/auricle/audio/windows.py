"""A long recording in pieces that the encoder can hear, cut where it is quietest."""

import numpy as np

from auricle import units
from auricle.audio.load import Waveform

_SEARCH_SAMPLES = 5 * units.SAMPLE_RATE  # the cut lies in the last 5 s of a full window
_QUIET_SAMPLES = units.SAMPLE_RATE // 10  # at the centre of the quietest 100 ms
_LAST_SAMPLES = units.SAMPLE_RATE  # the rest is never shorter than 1 s


def cut_windows(waveform: Waveform) -> list[Waveform]:
    """Windows of at most 30 s that together are the whole recording, in order."""
    windows, rest = [], waveform.samples
    while len(rest) > units.WINDOW_SAMPLES:
        end = _quietest(rest, min(units.WINDOW_SAMPLES, len(rest) - _LAST_SAMPLES))
        windows.append(Waveform(rest[:end]))
        rest = rest[end:]
    return [*windows, Waveform(rest)]


def _quietest(samples: np.ndarray, latest: int) -> int:
    """The centre of the quietest 100 ms that ends at `latest` or up to 5 s before."""
    power = np.square(samples[latest - _SEARCH_SAMPLES : latest], dtype=np.float64)
    energy = np.cumsum(np.concatenate(([0.0], power)))
    quiet = energy[_QUIET_SAMPLES:] - energy[:-_QUIET_SAMPLES]
    return latest - _SEARCH_SAMPLES + int(quiet.argmin()) + _QUIET_SAMPLES // 2
