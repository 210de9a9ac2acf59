"""Door 1: the log-mel spectrogram, against WhisperFeatureExtractor."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import WhisperFeatureExtractor
from transformers.audio_utils import mel_filter_bank

from auricle import units
from auricle.audio import Mel, Waveform, log_mel
from auricle.audio.mel import mel_filters

from .reference import MEL_TOLERANCE

pytestmark = pytest.mark.parity

SAMPLES = {
    "3 frames": 321,
    "0.05 s": 800,
    "0.05 s and a sample": 801,
    "100 frames": 16_000,
    "101 frames": 16_160,
    "1.5 s": 24_000,
    "1.5 s less a sample": 23_999,
    "29.98 s": 479_680,
    "29.99 s": 479_840,
    "30 s less a sample": 479_999,
    "30 s": 480_000,
}


def noise(num_samples: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(num_samples).standard_normal(num_samples)


def sine(num_samples: int) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * 440 * np.arange(num_samples) / units.SAMPLE_RATE)


def near_silence(num_samples: int) -> np.ndarray:
    """One step of 16-bit sound: the mel power lies around the floor of 1e-10."""
    return noise(num_samples) * 3e-4


def silence(num_samples: int) -> np.ndarray:
    return np.zeros(num_samples)


def last_click(num_samples: int) -> np.ndarray:
    """Only the last sample sounds: the frames after the real ones matter most."""
    return np.eye(1, num_samples, num_samples - 1)[0]


def compare(samples: np.ndarray, num_mel_bins: int) -> tuple[Mel, float, int]:
    """Our mel, its largest difference on the kept frames, and the reference's number of real frames."""
    samples = samples.astype(np.float32)
    extract = WhisperFeatureExtractor(feature_size=num_mel_bins)
    theirs = extract(
        samples,
        sampling_rate=units.SAMPLE_RATE,
        padding="max_length",
        return_attention_mask=True,
        return_tensors="np",
    )
    ours = log_mel(Waveform(samples), num_mel_bins=num_mel_bins)
    features = theirs["input_features"][0, :, : ours.features.shape[1]]
    return ours, float(np.abs(ours.features.numpy() - features).max()), int(theirs["attention_mask"].sum())


@pytest.mark.parametrize("num_mel_bins", [80, 128])
@pytest.mark.parametrize("num_samples", SAMPLES.values(), ids=SAMPLES.keys())
@pytest.mark.parametrize("wave", [noise, sine, near_silence, silence, last_click])
def test_log_mel_equals_the_reference(wave, num_samples: int, num_mel_bins: int) -> None:
    ours, difference, their_frames = compare(wave(num_samples), num_mel_bins)
    assert ours.num_frames == their_frames
    assert ours.features.shape == (num_mel_bins, units.kept_frames(ours.num_frames))
    assert ours.features.dtype == torch.float32
    assert difference <= MEL_TOLERANCE


@settings(max_examples=25, deadline=None, derandomize=True)
@given(num_samples=st.integers(321, 20_000), loudness=st.floats(-7, 0))
def test_any_length_and_loudness(num_samples: int, loudness: float) -> None:
    ours, difference, their_frames = compare(noise(num_samples) * 10**loudness, 80)
    assert ours.num_frames == their_frames
    assert difference <= MEL_TOLERANCE


@pytest.mark.parametrize("num_mel_bins", [80, 128])
def test_filters_equal_the_reference(num_mel_bins: int) -> None:
    theirs = mel_filter_bank(
        num_frequency_bins=201,
        num_mel_filters=num_mel_bins,
        min_frequency=0.0,
        max_frequency=8000.0,
        sampling_rate=units.SAMPLE_RATE,
        norm="slaney",
        mel_scale="slaney",
    )
    assert np.array_equal(mel_filters(num_mel_bins), theirs.T.astype(np.float32))


def test_reflected_end_would_show() -> None:
    """Negative control: reflecting at the recording's own end, not at 30 s, is far beyond the tolerance."""
    samples = noise(16_000)
    ours, _, _ = compare(samples, 80)
    reflected = np.pad(samples, (0, units.FFT_SAMPLES), mode="reflect")
    wrong = log_mel(Waveform(reflected.astype(np.float32)), num_mel_bins=80)
    last = ours.num_frames
    assert (wrong.features[:, last] - ours.features[:, last]).abs().max() > 1000 * MEL_TOLERANCE


def test_other_filters_would_show() -> None:
    """Negative control: an HTK scale, the other common one, is far from the published filters."""
    htk = mel_filter_bank(201, 80, 0.0, 8000.0, units.SAMPLE_RATE, norm="slaney", mel_scale="htk")
    assert np.abs(mel_filters(80) - htk.T).max() > 1e-3
