"""What a recording goes through before it is trained on: speed, room, noise, telephone band, gain.

Every function takes and returns float32 samples at 16 kHz; chances and ranges are the recipe's own.
"""

from collections.abc import Sequence

import numpy as np
from scipy import signal

SAMPLE_RATE = 16_000


def augment(samples: np.ndarray, noises: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """One random version of a recording; about a third of them stay as they are but for their loudness."""
    if rng.random() < 0.65:
        if rng.random() < 0.45:
            samples = change_speed(samples, rng.uniform(0.9, 1.1))
        if rng.random() < 0.25:
            samples = add_room(samples, rng, decay_s=rng.uniform(0.1, 0.45))
        if rng.random() < 0.45:
            samples = add_noise(samples, _noise(len(samples), noises, rng), snr_db=rng.uniform(5, 30))
        if rng.random() < 0.15:
            samples = telephone_band(samples)
    peak = float(np.abs(samples).max()) or 1.0
    return (samples * (rng.uniform(0.1, 0.95) / peak)).astype(np.float32)


def change_speed(samples: np.ndarray, factor: float) -> np.ndarray:
    """Play `factor` times faster (tempo and pitch together) by linear interpolation of the samples."""
    places = np.arange(0, len(samples) - 1, factor)
    return np.interp(places, np.arange(len(samples)), samples).astype(np.float32)


def add_room(samples: np.ndarray, rng: np.random.Generator, *, decay_s: float) -> np.ndarray:
    """Convolve with a direct path and an exponentially decaying noise tail (60 dB after `decay_s`)."""
    tail = rng.standard_normal(int(decay_s * SAMPLE_RATE)).astype(np.float32)
    tail *= 10 ** (-3 * np.arange(len(tail)) / len(tail)) * rng.uniform(0.05, 0.15)
    tail[0] = 1.0
    return signal.fftconvolve(samples, tail)[: len(samples)].astype(np.float32)


def add_noise(samples: np.ndarray, noise: np.ndarray, *, snr_db: float) -> np.ndarray:
    """Add noise of the same length so that the ratio of the mean powers is `snr_db`."""
    speech_power, noise_power = float(np.mean(samples**2)), float(np.mean(noise**2))
    if speech_power == 0 or noise_power == 0:
        return samples
    return samples + noise * np.float32(np.sqrt(speech_power / noise_power / 10 ** (snr_db / 10)))


def telephone_band(samples: np.ndarray) -> np.ndarray:
    """300 to 3400 Hz, through an 8 kHz sampling rate and 8 bits of mu-law."""
    narrow = signal.resample_poly(samples, 1, 2)
    narrow = signal.sosfilt(signal.butter(4, (300, 3400), "bandpass", fs=8000, output="sos"), narrow)
    peak = np.abs(narrow).max() or 1.0
    companded = np.sign(narrow) * np.log1p(255 * np.abs(narrow / peak)) / np.log(256)
    companded = np.round(companded * 127) / 127
    narrow = np.sign(companded) * ((256 ** np.abs(companded)) - 1) / 255 * peak
    return signal.resample_poly(narrow, 2, 1)[: len(samples)].astype(np.float32)


def _noise(num_samples: int, noises: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """A stretch of a noise recording, or noise whose power falls with frequency (white to brown)."""
    if noises and rng.random() < 0.5:
        noise = noises[rng.integers(len(noises))]
        start = int(rng.integers(max(1, len(noise) - num_samples)))
        return np.resize(noise[start : start + num_samples], num_samples)
    spectrum = np.fft.rfft(rng.standard_normal(num_samples))
    slope = np.maximum(np.arange(len(spectrum)), 1.0) ** -rng.uniform(0, 1)
    return np.fft.irfft(spectrum * slope, num_samples).astype(np.float32)
