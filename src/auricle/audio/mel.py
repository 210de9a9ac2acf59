"""Whisper's log-mel spectrogram of the real frames and the one or two after them; never padded to 30 s."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from auricle import units
from auricle.audio.load import Waveform
from auricle.errors import UserError


@dataclass(frozen=True, slots=True)
class Mel:
    """features float32 [mel_bins, kept frames], of which the first `num_frames` (100 /s) hold real sound."""

    features: torch.Tensor
    num_frames: int


def log_mel(waveform: Waveform, *, num_mel_bins: int) -> Mel:
    """The log-mel spectrogram of at most 30 s of sound, equal to the published one on the frames it keeps.

    log10 of the mel power, floored at 1e-10 and at 8 below the maximum, then (x + 4) / 4 (Whisper's recipe).

    Raises:
        UserError: the recording is longer than one window of 30 s, or too short for one audio token.
    """
    samples = torch.from_numpy(waveform.samples)
    if len(samples) > units.WINDOW_SAMPLES:
        raise UserError(
            f"one mel window holds at most 30 s: got {waveform.duration_s:.1f} s; cut it into windows first"
        )
    num_frames = units.frames_from_samples(len(samples))
    units.tokens_from_frames(num_frames)  # refuses what makes no token
    kept = units.kept_frames(num_frames)
    # Silence after the end, as far as the last kept frame's window reaches; at 30 s the reference reflects instead.
    padded = min(kept * units.HOP_SAMPLES + units.FFT_SAMPLES, units.WINDOW_SAMPLES)
    samples = torch.nn.functional.pad(samples, (0, max(0, padded - len(samples))))
    power = _power_spectrum(samples)[:, :kept]
    mel = torch.from_numpy(mel_filters(num_mel_bins)) @ power
    log_spec = mel.clamp(min=1e-10).log10()
    log_spec = torch.maximum(log_spec, log_spec.max() - 8.0)
    return Mel(features=(log_spec + 4.0) / 4.0, num_frames=num_frames)


def _power_spectrum(samples: torch.Tensor) -> torch.Tensor:
    """[samples] -> power [201, frames], Hann windows of 25 ms every 10 ms, centred and reflected at the ends."""
    window = torch.hann_window(units.FFT_SAMPLES)
    spectrum = torch.stft(
        samples, units.FFT_SAMPLES, units.HOP_SAMPLES, window=window, center=True, return_complex=True
    )
    return spectrum[:, :-1].abs() ** 2


@lru_cache(maxsize=4)
def mel_filters(num_mel_bins: int) -> np.ndarray:
    """Slaney's triangular filters [mel_bins, 201] from 0 to 8000 Hz, area-normalised (librosa's default `mel`)."""
    bin_hz = np.linspace(0, units.SAMPLE_RATE / 2, units.FFT_BINS)
    top_mel = _mel_from_hz(np.array(units.SAMPLE_RATE / 2))
    edge_hz = _hz_from_mel(np.linspace(0.0, float(top_mel), num_mel_bins + 2))
    width_hz = np.diff(edge_hz)
    slopes = edge_hz[:, None] - bin_hz[None, :]
    rising = -slopes[:-2] / width_hz[:-1, None]
    falling = slopes[2:] / width_hz[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    area = 2.0 / (edge_hz[2:] - edge_hz[:-2])
    return (triangles * area[:, None]).astype(np.float32)


# Slaney's Auditory Toolbox scale: linear below 1 kHz (3 mel per 200 Hz), logarithmic above (27 mel per factor 6.4).
_HZ_PER_MEL = 200.0 / 3.0
_KNEE_HZ = 1000.0
_KNEE_MEL = _KNEE_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


def _mel_from_hz(hz: np.ndarray) -> np.ndarray:
    return np.where(hz < _KNEE_HZ, hz / _HZ_PER_MEL, _KNEE_MEL + np.log(np.maximum(hz, 1.0) / _KNEE_HZ) / _LOG_STEP)


def _hz_from_mel(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < _KNEE_MEL, mel * _HZ_PER_MEL, _KNEE_HZ * np.exp(_LOG_STEP * (mel - _KNEE_MEL)))
