"""A long recording in windows: nothing lost, nothing over 30 s, cut where it is quiet."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auricle import units
from auricle.audio import Waveform, cut_windows
from auricle.errors import UserError

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


def naively(samples: np.ndarray, longest_s: float) -> list[np.ndarray]:
    """The rule by its words: where the sum of squares of 100 ms is least, in the last 5 s or half a window."""
    longest = int(longest_s * RATE)
    last, search = min(RATE, longest // 4), min(5 * RATE, longest // 2)
    pieces = []
    while len(samples) > longest:
        latest = min(longest, len(samples) - last)
        squares = np.square(samples[latest - search : latest], dtype=np.float64)
        sums = np.lib.stride_tricks.sliding_window_view(squares, 1600).sum(axis=1)
        end = latest - search + int(sums.argmin()) + 800
        pieces.append(samples[:end])
        samples = samples[end:]
    return [*pieces, samples]


@settings(max_examples=25)
@given(st.sampled_from([1, 1.5, 2.0, 7.3]), st.floats(0.03, 4.0), st.integers(0, 5))
def test_short_windows_are_those_of_the_naive_rule(longest_s: float, windows: float, seed: int):
    num_samples = int(longest_s * windows * RATE)
    samples = np.random.default_rng(seed).integers(-99, 100, num_samples).astype(np.float32)  # sums are exact
    cut = [window.samples for window in cut_windows(Waveform(samples), longest_s=longest_s)]
    expected = naively(samples, longest_s)
    assert [len(each) for each in cut] == [len(each) for each in expected]
    np.testing.assert_array_equal(np.concatenate(cut), samples)
    assert all(len(each) <= longest_s * RATE for each in cut)
    if len(cut) > 1:
        assert all(units.tokens_from_frames(units.frames_from_samples(len(each))) for each in cut)


def test_windows_of_30_s_are_those_of_the_naive_rule(noise: Noise):
    samples = np.round(noise(100) * 1000)
    cut = [len(window.samples) for window in cut_windows(Waveform(samples))]
    assert cut == [len(each) for each in naively(samples, 30)]
    assert cut == [len(window.samples) for window in cut_windows(Waveform(samples), longest_s=30.0)]


@pytest.mark.parametrize("longest_s", [0, 0.99, 30.01, -1, float("nan"), float("inf"), "30", None])
def test_windows_of_another_length_are_refused(longest_s: float):
    with pytest.raises(UserError, match=r"longest_s must lie in 1 to 30 s: got "):
        cut_windows(Waveform(np.zeros(RATE, np.float32)), longest_s=longest_s)
