"""What a filter measures, on made recordings whose figures are known."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from auricle.audio import Waveform, load
from auricle.data.effects import compand, narrow, noise_scale
from auricle.data.quality import Quality, QualityLimits, measure_quality, objections

RATE = 16_000
GOOD = Quality(5.0, 30.0, 0.0, 0.2, 0.1, 0.1, 8000.0, 0.0)


def speech_like(seed: int, *, duration_s: float = 6.0) -> np.ndarray:
    """Syllables of 120 to 300 ms of noise that falls above 800 Hz; a third of them are pauses."""
    rng = np.random.default_rng(seed)
    size = round(duration_s * RATE)
    loudness, place = np.zeros(size), 0
    while place < size:
        length = int(rng.uniform(0.12, 0.3) * RATE)
        syllable = np.hanning(length) * 10 ** rng.uniform(-0.5, 0) * (rng.random() > 0.35)
        loudness[place : place + length] = syllable[: size - place]
        place += length
    samples = coloured(size, rng, lambda hz: (hz > 80) / (1 + (hz / 800) ** 1.2)) * loudness
    return (samples * (0.5 / np.abs(samples).max())).astype(np.float32)


def coloured(size: int, rng: np.random.Generator, shape: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    spectrum = np.fft.rfft(rng.standard_normal(size))
    return np.fft.irfft(spectrum * shape(np.fft.rfftfreq(size, 1 / RATE)), size).astype(np.float32)


COLOURS = {
    "white": lambda hz: np.ones_like(hz),
    "pink": lambda hz: np.maximum(hz, 20) ** -0.5,
    "brown": lambda hz: (hz > 0) / np.maximum(hz, 20),
}


def noisy(seed: int, snr_db: float, colour: str) -> np.ndarray:
    speech = speech_like(seed)
    noise = coloured(len(speech), np.random.default_rng(seed + 100), COLOURS[colour])
    return speech + np.float32(noise_scale(speech, noise, snr_db)) * noise


def measured(samples: np.ndarray) -> Quality:
    return measure_quality(Waveform(samples.astype(np.float32)))


@pytest.mark.parametrize(("colour", "most_above_db"), [("white", 3.0), ("pink", 3.0), ("brown", 8.0)])
def test_the_estimated_ratio_is_near_the_true_one_and_rises_with_it(colour, most_above_db):
    for seed in range(5):
        estimates = []
        for snr_db in (0, 5, 10, 15, 20):
            estimates.append(measured(noisy(seed, snr_db, colour)).snr_db)
            assert -3 <= estimates[-1] - snr_db <= most_above_db
        assert estimates == sorted(estimates)


def test_the_estimate_does_not_depend_on_loudness_or_on_digital_silence_around():
    samples = noisy(0, 10, "white")
    estimate = measured(samples).snr_db
    assert measured(samples * 0.05).snr_db == pytest.approx(estimate, abs=0.1)
    silence = np.zeros(RATE)
    assert measured(np.concatenate([silence, samples, silence])).snr_db == pytest.approx(estimate, abs=0.3)


def test_noise_alone_is_noisy_and_nothing_at_all_is_not():
    noise = coloured(5 * RATE, np.random.default_rng(0), COLOURS["white"]) * 0.1
    assert measured(noise).snr_db < 0
    assert measured(np.zeros(RATE)).snr_db == 100
    assert measured(speech_like(0)).snr_db > 25


def test_the_share_of_clipped_samples_is_found_at_full_scale_and_made_softer():
    time_s = np.arange(2 * RATE) / RATE
    voiced = np.sin(2 * np.pi * 120 * time_s) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time_s))
    assert measured(voiced * 0.9).clipped_share == 0
    clipped = np.clip(voiced * 1.6, -1, 1)
    share = float((np.abs(voiced * 1.6) >= 1).mean())
    assert share > 0.1
    assert measured(clipped).clipped_share == pytest.approx(share, abs=0.002)
    assert measured(clipped * 0.3).clipped_share == pytest.approx(share, abs=0.02)
    assert measured(speech_like(0)).clipped_share == 0
    assert measured(np.clip(speech_like(0) * 4, -1, 1)).clipped_share == pytest.approx(
        float((np.abs(speech_like(0) * 4) >= 1).mean()), abs=1e-6
    )
    assert measured(np.zeros(RATE)).clipped_share == 0
    assert measured(np.full(RATE, 1e-5)).clipped_share == 0  # flat, but silence


def test_silence_is_found_where_it_is():
    sound = coloured(2 * RATE, np.random.default_rng(0), COLOURS["white"]) * 0.1
    quiet = coloured(RATE, np.random.default_rng(1), COLOURS["white"]) * 1e-4
    quality = measured(np.concatenate([np.zeros(RATE // 2), sound, quiet, sound, quiet, quiet]))
    assert quality.duration_s == 7.5
    assert quality.leading_silence_s == pytest.approx(0.5, abs=0.021)
    assert quality.trailing_silence_s == pytest.approx(2.0, abs=0.021)
    assert quality.silent_share == pytest.approx(3.5 / 7.5, abs=0.01)
    soft = measured(np.concatenate([sound, sound * 0.05]))  # 26 dB softer is no silence
    assert (soft.silent_share, soft.leading_silence_s, soft.trailing_silence_s) == (0, 0, 0)
    nothing = measured(np.zeros(RATE + 5))
    assert (nothing.silent_share, nothing.leading_silence_s) == (1.0, nothing.duration_s)


@pytest.mark.parametrize("edge_hz", [2000, 3000, 5500, 7000])
def test_the_band_ends_where_the_spectrum_does(edge_hz):
    samples = coloured(3 * RATE, np.random.default_rng(0), lambda hz: (hz < edge_hz) / (1 + hz / 800)) * 0.1
    samples = np.round(samples * 32768) / 32768  # 16 bit
    assert measured(samples).bandwidth_hz == pytest.approx(edge_hz, abs=250)


def test_a_telephone_is_told_from_a_studio():
    speech = speech_like(0)
    assert measured(speech).bandwidth_hz == 8000
    assert 3500 <= measured(compand(narrow(speech))).bandwidth_hz <= 4250
    assert measured(np.zeros(RATE)).bandwidth_hz == 0


def test_a_long_recording_is_measured_in_pieces_as_one(monkeypatch):
    samples = speech_like(0)
    whole = measured(samples)
    monkeypatch.setattr("auricle.data.quality._SPECTRA_AT_ONCE", 7)
    assert measured(samples) == whole


@pytest.mark.parametrize("offset", [0.2, -0.05])
def test_an_offset_is_measured_and_disturbs_no_other_figure(offset):
    samples = noisy(0, 10, "white") * 0.3
    shifted, plain = measured(samples + offset), measured(samples)
    assert shifted.dc_offset == pytest.approx(offset, abs=1e-3)
    assert shifted.snr_db == pytest.approx(plain.snr_db, abs=0.1)
    assert shifted.silent_share == plain.silent_share


def test_every_sample_count_is_measured():
    for size in (321, 400, 512, 513, 16001):
        quality = measured(np.random.default_rng(0).normal(0, 0.1, size))
        assert all(np.isfinite(getattr(quality, field.name)) for field in fields(Quality))


def test_real_recordings_pass():
    directory = Path(__file__).parents[2] / "examples" / "recordings"
    found = sorted(directory.glob("*.flac"))
    assert found
    for path in found:
        assert objections(measure_quality(load(path)), QualityLimits()) == ()


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        ({"duration_s": 0.1}, "too short: 0.10 s, under 0.3 s"),
        ({"duration_s": 400.0}, "too long: 400.0 s, over 300 s"),
        ({"snr_db": 2.0}, "noisy: 2.0 dB, under 5 dB"),
        ({"clipped_share": 0.02}, "clipped: 2.0% of the samples, over 1.0%"),
        ({"silent_share": 0.9}, "silent: 90% of the time, over 80%"),
        ({"leading_silence_s": 6.0}, "silence at an end: 6.0 s, over 5 s"),
        ({"trailing_silence_s": 6.0}, "silence at an end: 6.0 s, over 5 s"),
        ({"bandwidth_hz": 4000.0}, "narrow band: 4000 Hz, under 5000 Hz"),
        ({"dc_offset": -0.2}, "offset: -0.20 of full scale, over 0.1"),
    ],
)
def test_each_limit_has_its_objection(change, phrase):
    limits = QualityLimits(min_bandwidth_hz=5000.0)
    assert objections(GOOD, limits) == ()
    assert objections(replace(GOOD, **change), limits) == (phrase,)


def test_all_objections_are_given():
    bad = replace(GOOD, duration_s=0.1, snr_db=-5.0, dc_offset=0.5)
    assert [phrase.split(":")[0] for phrase in objections(bad, QualityLimits())] == ["too short", "noisy", "offset"]
