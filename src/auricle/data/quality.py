"""How good a recording is, in numbers that a filter can judge: noise, clipping, silence, band, offset."""

import math
from dataclasses import dataclass

import numpy as np

from auricle import units
from auricle.audio import Waveform
from auricle.data.effects import FRAME_SAMPLES, frame_power

_FRAME_S = FRAME_SAMPLES / units.SAMPLE_RATE
_MOST_SNR_DB = 100.0  # what a recording without any noise is given
_NOTHING = 1e-12  # of full scale's power, -120 dB: under the last of 16 bits
_ABOVE = 1.3  # times the noise floor: no longer noise alone
_QUIET_SHARE = 0.1  # of the frames: where the noise floor is read
_ACTIVE = 1e-3  # of the loudest frame's power, 30 dB under it
_SILENT = 1e-4  # of the loud frames' power, 40 dB under it
_HUSH = 1e-7  # -70 dB of full scale: silence in any recording
_LOUD_SHARE = 0.95  # of the frames are softer than a loud one
_BAND_HZ = 250.0
_BAND_FLOOR = 1e-6  # of the strongest band's power, 60 dB under it: where a spectrum ends
_FULL_SCALE = 32767 / 32768  # the largest 16-bit sample
_FLAT = 1e-5  # of the peak: neighbours that differ by less are equal
_TOP = 0.98  # of the peak: where cut waves lie
_SPECTRUM_SAMPLES = 512
_SPECTRA_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Quality:
    """What was measured.

    snr_db: estimated, -20 to 100. clipped_share: of the samples. silent_share: of the 20 ms frames. leading_silence_s
    and trailing_silence_s: before the first and after the last frame that is not silent. bandwidth_hz: where the
    spectrum ends; about 4 000 for a telephone. dc_offset: the mean sample, 1 is full scale.
    """

    duration_s: float
    snr_db: float
    clipped_share: float
    silent_share: float
    leading_silence_s: float
    trailing_silence_s: float
    bandwidth_hz: float
    dc_offset: float


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """What is still good enough."""

    min_s: float = 0.3
    max_s: float = 300.0
    min_snr_db: float = 5.0
    max_clipped_share: float = 0.01
    max_silent_share: float = 0.8
    max_edge_silence_s: float = 5.0
    min_bandwidth_hz: float = 0.0
    max_dc_offset: float = 0.1


def measure_quality(waveform: Waveform) -> Quality:
    """Measure one recording of any length."""
    samples = waveform.samples
    dc_offset = float(samples.mean(dtype=np.float64))
    power = frame_power(samples - dc_offset)
    silent = _silent_frames(power)
    heard = np.flatnonzero(~silent)
    leading, trailing = (heard[0], len(silent) - 1 - heard[-1]) if len(heard) else (len(silent), len(silent))
    return Quality(
        duration_s=waveform.duration_s,
        snr_db=_snr_db(power[_living_frames(samples)]),
        clipped_share=_clipped_share(samples),
        silent_share=float(silent.mean()),
        leading_silence_s=min(float(leading) * _FRAME_S, waveform.duration_s),
        trailing_silence_s=min(float(trailing) * _FRAME_S, waveform.duration_s),
        bandwidth_hz=_bandwidth_hz(samples),
        dc_offset=dc_offset,
    )


def objections(quality: Quality, limits: QualityLimits) -> tuple[str, ...]:
    """What is wrong with a recording, one phrase each with what was measured and the limit; empty for a good one."""
    edge_s = max(quality.leading_silence_s, quality.trailing_silence_s)
    checks = (
        (quality.duration_s < limits.min_s, f"too short: {quality.duration_s:.2f} s, under {limits.min_s:g} s"),
        (quality.duration_s > limits.max_s, f"too long: {quality.duration_s:.1f} s, over {limits.max_s:g} s"),
        (quality.snr_db < limits.min_snr_db, f"noisy: {quality.snr_db:.1f} dB, under {limits.min_snr_db:g} dB"),
        (
            quality.clipped_share > limits.max_clipped_share,
            f"clipped: {quality.clipped_share:.1%} of the samples, over {limits.max_clipped_share:.1%}",
        ),
        (
            quality.silent_share > limits.max_silent_share,
            f"silent: {quality.silent_share:.0%} of the time, over {limits.max_silent_share:.0%}",
        ),
        (
            edge_s > limits.max_edge_silence_s,
            f"silence at an end: {edge_s:.1f} s, over {limits.max_edge_silence_s:g} s",
        ),
        (
            quality.bandwidth_hz < limits.min_bandwidth_hz,
            f"narrow band: {quality.bandwidth_hz:.0f} Hz, under {limits.min_bandwidth_hz:g} Hz",
        ),
        (
            abs(quality.dc_offset) > limits.max_dc_offset,
            f"offset: {quality.dc_offset:.2f} of full scale, over {limits.max_dc_offset:g}",
        ),
    )
    return tuple(phrase for is_bad, phrase in checks if is_bad)


def _snr_db(power: np.ndarray) -> float:
    """From the levels of loud and quiet frames, the idea of NIST's `stnr`.

    The noise floor is the median of the quietest tenth of `power`, the frames that are no digital silence; speech is
    what the mean of the frames clearly above it, and at most 30 dB under the loudest, has more. Needs pauses, as
    speech has. Within 3 dB for steady white or pink noise 0 to 20 dB under made speech; too high by up to 8 dB under
    rumble, whose level wavers from frame to frame (tests/data/test_quality.py).
    """
    power = np.sort(power[power > _NOTHING])
    if not len(power):
        return _MOST_SNR_DB
    floor = float(np.median(power[: max(1, int(_QUIET_SHARE * len(power)))]))
    active = power[(power >= _ABOVE * floor) & (power >= _ACTIVE * power[-1])]
    speech = float(active.mean()) - floor if len(active) else 0.0
    return float(np.clip(10 * math.log10(max(speech, _NOTHING) / floor), -20.0, _MOST_SNR_DB))


def _living_frames(samples: np.ndarray) -> np.ndarray:
    """bool [frames]: not digital silence, in which all samples are the same."""
    starts = np.arange(0, len(samples), FRAME_SAMPLES)
    return np.maximum.reduceat(samples, starts) > np.minimum.reduceat(samples, starts)


def _silent_frames(power: np.ndarray) -> np.ndarray:
    loud = float(np.quantile(power, _LOUD_SHARE))
    return power <= max(_HUSH, _SILENT * loud)


def _clipped_share(samples: np.ndarray) -> float:
    """Samples at full scale or beyond, and those in flat tops: three or more alike near the peak, as in what was
    clipped and then made softer."""
    size = np.abs(samples)
    peak = float(size.max())
    if peak**2 <= _HUSH:
        return 0.0
    alike = (np.abs(np.diff(samples)) <= _FLAT * peak) & (size[1:] >= _TOP * peak)
    middle = alike[:-1] & alike[1:]
    flat = np.zeros(len(samples), np.bool_)
    for shift in range(3):
        flat[shift : shift + len(middle)] |= middle
    return float((flat | (size >= _FULL_SCALE)).mean())


def _bandwidth_hz(samples: np.ndarray) -> float:
    """Upper end of the highest 250 Hz at most 60 dB under the strongest 250 Hz, over the whole recording."""
    num_spectra = max(1, len(samples) // _SPECTRUM_SAMPLES)  # what is left over is cut off: its edge would be a click
    pieces = np.resize(samples, num_spectra * _SPECTRUM_SAMPLES).reshape(num_spectra, _SPECTRUM_SAMPLES)
    power = np.zeros(1 + _SPECTRUM_SAMPLES // 2)
    for start in range(0, num_spectra, _SPECTRA_AT_ONCE):
        frames = pieces[start : start + _SPECTRA_AT_ONCE] * np.hanning(_SPECTRUM_SAMPLES)
        power += np.sum(np.abs(np.fft.rfft(frames)) ** 2, axis=0)
    num_per_band = round(_BAND_HZ / (units.SAMPLE_RATE / _SPECTRUM_SAMPLES))
    bands = power[:-1].reshape(-1, num_per_band).sum(axis=1)
    if bands.max() == 0:
        return 0.0
    return float((np.flatnonzero(bands >= _BAND_FLOOR * bands.max())[-1] + 1) * _BAND_HZ)
