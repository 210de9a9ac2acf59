"""A long recording in windows: nothing lost, nothing over 30 s, cut where it is quiet."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.audio import Waveform, cut_windows

Noise = Callable[..., np.ndarray]
RATE = 16000
WINDOW = 30 * RATE


@given(st.one_of(st.integers(1, 80 * RATE), st.integers(-5, 5).map(lambda n: WINDOW + n), st.just(31 * RATE)))
def test_windows_are_the_recording(num_samples: int):
    samples = np.arange(num_samples, dtype=np.float32)
    windows = cut_windows(Waveform(samples))
    np.testing.assert_array_equal(np.concatenate([window.samples for window in windows]), samples)
    assert all(0 < len(window.samples) <= WINDOW for window in windows)
    assert len(windows) <= 1 + num_samples // (24 * RATE)
    if len(windows) > 1:
        assert len(windows[-1].samples) >= RATE - RATE // 10
    if num_samples <= WINDOW:
        assert len(windows) == 1


def gap_at(samples: np.ndarray, centre_s: float) -> np.ndarray:
    samples = samples.copy()
    samples[round((centre_s - 0.1) * RATE) : round((centre_s + 0.1) * RATE)] = 0
    return samples


@pytest.mark.parametrize("gap_s", [25.5, 27.0, 28.3, 29.7])
def test_cut_in_the_quiet_gap(gap_s: float, noise: Noise):
    first, _ = cut_windows(Waveform(gap_at(noise(45), gap_s)))
    assert first.duration_s == pytest.approx(gap_s, abs=0.1)


def test_each_window_finds_its_own_gap(noise: Noise):
    samples = gap_at(gap_at(gap_at(noise(80), 10.0), 26.0), 54.0)
    windows = cut_windows(Waveform(samples))
    ends = np.cumsum([window.duration_s for window in windows])
    np.testing.assert_allclose(ends, [26.0, 54.0, 80.0], atol=0.1)


def test_the_quieter_of_two_gaps_wins(noise: Noise):
    samples = noise(45)
    samples[27 * RATE : 27 * RATE + 3200] *= 0.1
    samples[29 * RATE : 29 * RATE + 3200] *= 0.01
    first = cut_windows(Waveform(samples))[0]
    assert 29.0 <= first.duration_s <= 29.2


def test_a_little_over_one_window_leaves_no_crumb(noise: Noise):
    windows = cut_windows(Waveform(gap_at(noise(30.2), 29.95)))
    assert len(windows) == 2
    assert windows[1].duration_s >= 0.95


def test_silence_is_cut_too():
    windows = cut_windows(Waveform(np.zeros(65 * RATE, np.float32)))
    assert sum(len(window.samples) for window in windows) == 65 * RATE
    assert all(len(window.samples) <= WINDOW for window in windows)
