"""Sound made for tests, and what is measured of it from outside."""

import numpy as np

RATE = 16_000


def speech_like(duration_s: float, *, seed: int = 0, peak: float = 0.3) -> np.ndarray:
    """Bursts of noise at the pace of syllables, with a silent pause in the middle."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(duration_s * RATE)) / RATE
    samples = rng.standard_normal(len(time_s)) * (0.1 + np.sin(2 * np.pi * 2 * time_s) ** 2)
    samples[len(samples) // 3 : len(samples) // 2] = 0
    return (samples * (peak / np.abs(samples).max())).astype(np.float32)


def power_between(samples: np.ndarray, low_hz: float, high_hz: float) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(spectrum[(hz >= low_hz) & (hz < high_hz)].sum())


def loudest_hz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 8 * len(samples)))
    return float(spectrum.argmax() * RATE / (8 * len(samples)))
