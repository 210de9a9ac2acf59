"""What the spectrogram keeps and refuses; its values are compared with the reference in tests/parity."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from auricle import units
from auricle.audio import Waveform, log_mel
from auricle.audio.mel import mel_filters
from auricle.errors import UserError

Sine = Callable[..., np.ndarray]


@settings(max_examples=20)
@given(st.integers(321, 10_000))
def test_as_many_frames_as_units_says(num_samples: int):
    mel = log_mel(Waveform(np.ones(num_samples, np.float32)), num_mel_bins=16)
    assert mel.num_frames == units.frames_from_samples(num_samples)
    assert mel.features.shape == (16, units.kept_frames(mel.num_frames))
    assert mel.features.dtype == torch.float32


def test_a_whole_window_is_3000_frames_and_a_sample_more_is_refused():
    samples = np.zeros(units.WINDOW_SAMPLES + 1, np.float32)
    assert log_mel(Waveform(samples[:-1]), num_mel_bins=16).features.shape == (16, 3000)
    with pytest.raises(UserError, match=r"at most 30 s: got 30\.0 s; cut it into windows"):
        log_mel(Waveform(samples), num_mel_bins=16)


@pytest.mark.parametrize("num_samples", [1, 160, 320])
def test_too_short_is_refused(num_samples: int):
    with pytest.raises(UserError, match="recording too short"):
        log_mel(Waveform(np.ones(num_samples, np.float32)), num_mel_bins=16)


@pytest.mark.parametrize("hz", [500.0, 2000.0, 6000.0])
def test_a_tone_lights_the_filter_that_holds_it(hz: float, sine: Sine):
    mel = log_mel(Waveform(sine(0.5, hz=hz)), num_mel_bins=80)
    holds_hz = mel_filters(80)[:, round(hz / 40)].argmax()
    assert abs(mel.features[:, :50].mean(dim=1).argmax().item() - holds_hz) <= 1


def test_filters_cover_every_frequency_between_the_ends():
    filters = mel_filters(128)
    assert filters.shape == (128, units.FFT_BINS)
    assert (filters >= 0).all()
    assert (filters.sum(axis=0)[1:-1] > 0).all()
    hz_per_bin = 40
    np.testing.assert_allclose(filters[-40:].sum(axis=1) * hz_per_bin, 1, rtol=0.05)  # Slaney's: each of area 1


def test_dynamic_range_is_eight_decades():
    samples = np.concatenate([np.zeros(8000, np.float32), np.ones(8000, np.float32)])
    features = log_mel(Waveform(samples), num_mel_bins=16).features
    assert (features.max() - features.min()).item() == pytest.approx(8 / 4)
    silence = log_mel(Waveform(np.zeros(8000, np.float32)), num_mel_bins=16).features
    assert silence.eq((-10 + 4) / 4).all()
