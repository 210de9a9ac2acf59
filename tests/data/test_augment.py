"""Augmentation: what is stated is what happened, measured from outside; the same draw gives the same bytes."""

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_sound import power_between, speech_like

from auricle.audio import Mel, Waveform, log_mel
from auricle.data.augment import Augmenter, Change, Mask, apply_masks, draw_masks
from auricle.data.effects import active_part, narrow, noise_scale
from auricle.data.noises import ColouredNoise
from auricle.data.settings import AugmentSettings
from auricle.errors import UserError

NEVER = AugmentSettings(
    chance=1.0, noise_chance=0.0, speed_chance=0.0, gain_db=(0.0, 0.0), room_chance=0.0, telephone_chance=0.0,
    mask_chance=0.0,
)  # fmt: skip
ALWAYS = AugmentSettings(
    chance=1.0, noise_chance=1.0, speed_chance=1.0, room_chance=1.0, telephone_chance=1.0, mask_chance=1.0
)


class NoNoise:
    def draw(self, num_samples: int, rng: np.random.Generator) -> np.ndarray:
        return np.zeros(num_samples, np.float32)


class Given:
    """Always the same noise, so that a test knows it."""

    def __init__(self, noise: np.ndarray) -> None:
        self.noise = noise

    def draw(self, num_samples: int, rng: np.random.Generator) -> np.ndarray:
        return np.resize(self.noise, num_samples)


class Stretches:
    """White noise of the given generator."""

    def draw(self, num_samples: int, rng: np.random.Generator) -> np.ndarray:
        return rng.normal(0, 0.1, num_samples).astype(np.float32)


def ratio_db(speech: np.ndarray, noise: np.ndarray) -> float:
    """Over the 20 ms frames in which there is speech: frame by frame, by another way than the source's."""
    speech_power, noise_power, loudest = 0.0, 0.0, 0.0
    frames = [slice(start, start + 320) for start in range(0, len(speech), 320)]
    loudest = max(float(np.mean(speech[frame].astype(np.float64) ** 2)) for frame in frames)
    for frame in frames:
        if float(np.mean(speech[frame].astype(np.float64) ** 2)) >= loudest / 1000:
            speech_power += float(np.sum(speech[frame].astype(np.float64) ** 2))
            noise_power += float(np.sum(noise[frame].astype(np.float64) ** 2))
    return 10 * math.log10(speech_power / noise_power)


@given(seed=st.integers(0, 2**32), peak=st.floats(0.01, 1.0))
def test_the_stated_ratio_is_the_one_after_mixing_gain_and_the_guard_against_clipping(seed, peak):
    speech = speech_like(1.0, seed=seed % 7, peak=peak)
    augmenter = Augmenter(replace(NEVER, noise_chance=1.0, gain_db=(-12.0, 12.0)), ColouredNoise())
    mixed, change = augmenter.change(Waveform(speech), np.random.default_rng(seed))
    assert change is not None
    assert 5 <= change.snr_db <= 20

    gain = 10 ** (change.gain_db / 20)
    noise = mixed.samples / gain - speech
    assert ratio_db(speech, noise) == pytest.approx(change.snr_db, abs=0.1)
    assert np.abs(mixed.samples).max() <= 0.9901


def test_the_ratio_counts_speech_alone_and_the_guard_was_at_work():
    speech = speech_like(2.0, peak=0.9)
    augmenter = Augmenter(replace(NEVER, noise_chance=1.0, gain_db=(6.0, 6.0)), ColouredNoise())
    mixed, change = augmenter.change(Waveform(speech), np.random.default_rng(1))
    assert change.gain_db < 6  # lowered
    noise = mixed.samples / 10 ** (change.gain_db / 20) - speech
    whole_db = 10 * math.log10(np.mean(speech.astype(np.float64) ** 2) / np.mean(noise.astype(np.float64) ** 2))
    assert abs(whole_db - change.snr_db) > 0.5  # over everything, pauses included, it is another figure


def test_the_ratio_is_that_of_what_is_heard_when_all_is_done_at_once():
    speech = speech_like(3.0)
    noisy, change = Augmenter(ALWAYS, ColouredNoise()).change(Waveform(speech), np.random.default_rng(5))
    clean, clean_change = Augmenter(ALWAYS, NoNoise()).change(Waveform(speech), np.random.default_rng(5))
    assert clean_change.snr_db is None
    assert change.speed == clean_change.speed
    heard = clean.samples / 10 ** (clean_change.gain_db / 20)
    noise = noisy.samples / 10 ** (change.gain_db / 20) - heard
    assert ratio_db(heard, noise) == pytest.approx(change.snr_db, abs=0.3)  # mu-law adds noise of its own


@given(
    seed=st.integers(0, 2**32),
    num_samples=st.sampled_from([321, 322, 479, 800, 5000, 16001]),
    kind=st.sampled_from(["noise", "silence", "one click", "constant", "beyond full scale", "nearly nothing"]),
)
def test_no_change_clips_makes_nan_or_breaks_digital_silence(seed, num_samples, kind):
    samples = {
        "noise": np.random.default_rng(seed).normal(0, 0.3, num_samples),
        "silence": np.zeros(num_samples),
        "one click": np.eye(1, num_samples)[0],
        "constant": np.full(num_samples, 0.5),
        "beyond full scale": np.random.default_rng(seed).normal(0, 3.0, num_samples),
        "nearly nothing": np.random.default_rng(seed).normal(0, 1e-30, num_samples),
    }[kind].astype(np.float32)
    augmenter = Augmenter.of(replace(ALWAYS, gain_db=(-12.0, 40.0), room_chance=0.5, telephone_chance=0.5))
    waveform, change = augmenter.change(Waveform(samples), np.random.default_rng(seed))
    assert waveform.samples.dtype == np.float32
    assert np.isfinite(waveform.samples).all()
    assert np.abs(waveform.samples).max() <= 0.9901
    assert len(waveform.samples) <= len(samples) / augmenter.slowest + 0.5
    log_mel(waveform, num_mel_bins=80)  # long enough for a token
    if kind == "silence":
        assert not waveform.samples.any()
        assert change.snr_db is None  # no noise has a stated ratio to nothing


def test_speech_and_noise_on_the_telephone_both_keep_to_its_band():
    white = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    for settings, speech in (
        (replace(NEVER, telephone_chance=1.0), white),
        (replace(NEVER, telephone_chance=1.0, noise_chance=1.0), narrow(white)),
    ):
        heard, _ = Augmenter(settings, Given(white)).change(Waveform(speech), np.random.default_rng(0))
        assert power_between(heard.samples, 0, 180) < 1e-3 * power_between(heard.samples, 400, 1000)
        assert power_between(heard.samples, 4050, 8001) < 1e-3 * power_between(heard.samples, 400, 1000)


def test_noise_differs_from_draw_to_draw_at_one_ratio():
    augmenter = Augmenter(replace(NEVER, noise_chance=1.0, snr_db=(10.0, 10.0)), Stretches())
    speech = Waveform(np.full(1000, 0.1, np.float32))
    assert len({augmenter.change(speech, np.random.default_rng(seed))[0].samples.tobytes() for seed in range(9)}) == 9


def test_the_same_generator_gives_the_same_bytes_and_another_seed_others():
    speech = Waveform(speech_like(1.0))
    augmenter = Augmenter.of(ALWAYS)

    def bytes_of(augmenter: Augmenter, seed: int) -> tuple[bytes, bytes, Change]:
        rng = np.random.default_rng(seed)
        changed, change = augmenter.change(speech, rng)
        [mel], change = augmenter.mask([log_mel(changed, num_mel_bins=80)], change, rng)
        return changed.samples.tobytes(), mel.features.numpy().tobytes(), change

    first = bytes_of(augmenter, 3)
    assert bytes_of(augmenter, 3) == first
    assert bytes_of(pickle.loads(pickle.dumps(augmenter)), 3) == first
    assert all(ours != others for ours, others in zip(first, bytes_of(augmenter, 4), strict=True))
    assert not {mask.axis for mask in first[2].masks} - {"frequency", "time"}


def test_settings_that_change_one_thing_leave_the_other_draws_alone():
    speech = Waveform(speech_like(1.0))
    all_done = Augmenter.of(ALWAYS).change(speech, np.random.default_rng(0))[1]
    without = Augmenter.of(replace(ALWAYS, noise_chance=0.0, speed_chance=0.0))
    change = without.change(speech, np.random.default_rng(0))[1]
    assert (change.speed, change.snr_db) == (1.0, None)
    assert change.decay_s == all_done.decay_s


def test_each_change_comes_as_often_as_its_chance_and_within_its_range():
    settings = AugmentSettings(chance=0.5, noise_chance=0.4, speed_chance=0.8, room_chance=0.3, telephone_chance=0.2)
    augmenter = Augmenter.of(settings)
    speech = Waveform(speech_like(0.05))
    changes = [augmenter.change(speech, np.random.default_rng(seed))[1] for seed in range(1500)]
    made = [change for change in changes if change is not None]
    assert len(made) / len(changes) == pytest.approx(0.5, abs=0.05)
    for share, chance in (
        (sum(change.snr_db is not None for change in made), 0.4),
        (sum(change.speed != 1 for change in made), 0.8),
        (sum(change.decay_s is not None for change in made), 0.3),
        (sum(change.telephone for change in made), 0.2),
    ):
        assert share / len(made) == pytest.approx(chance, abs=0.07)
    speeds = [change.speed for change in made if change.speed != 1]
    assert 0.9 <= min(speeds) < 0.91
    assert 1.09 < max(speeds) <= 1.1
    assert -12 <= min(change.gain_db for change in made) < -11
    assert len({change.snr_db for change in made}) > 100


def test_what_is_left_as_it_is_is_the_same_object():
    speech = Waveform(speech_like(0.5))
    waveform, change = Augmenter.of(AugmentSettings()).change(speech, np.random.default_rng(0))
    assert waveform is speech
    assert change is None


def test_gain_alone_is_a_factor():
    speech = speech_like(0.5)
    augmenter = Augmenter(replace(NEVER, gain_db=(-6.0, -6.0)), NoNoise())
    waveform, change = augmenter.change(Waveform(speech), np.random.default_rng(0))
    assert change == Change(gain_db=pytest.approx(-6.0))
    assert np.allclose(waveform.samples, speech * 10 ** (-0.3), rtol=1e-6)


def test_the_slowest_factor_bounds_the_length():
    assert Augmenter.of(ALWAYS).slowest == 0.9
    assert Augmenter.of(replace(ALWAYS, speed=(1.05, 1.1))).slowest == 1.0
    assert Augmenter.of(replace(ALWAYS, speed_chance=0.0)).slowest == 1.0
    assert Augmenter.of(AugmentSettings()).slowest == 1.0


def test_noise_that_lies_in_the_pauses_is_left_out():
    speech = speech_like(1.0)
    noise = np.where(active_part(speech), 1e-6, 0.1).astype(np.float32)
    assert noise_scale(speech, noise, 10.0) == 0.0
    assert noise_scale(speech, np.zeros_like(speech), 10.0) == 0.0
    assert noise_scale(np.zeros_like(speech), noise, 10.0) == 0.0
    assert noise_scale(speech, np.full_like(speech, 0.1), 10.0) > 0
    _, change = Augmenter(replace(NEVER, noise_chance=1.0), Given(noise)).change(
        Waveform(speech), np.random.default_rng(0)
    )
    assert change.snr_db is None


@given(seed=st.integers(0, 2**32), num_frames=st.integers(3, 3000), num_bins=st.sampled_from([16, 80, 128]))
def test_masks_follow_the_policy_and_change_nothing_else(seed, num_frames, num_bins):
    features = torch.rand(num_bins, min(num_frames + 1, 3000), generator=torch.Generator().manual_seed(seed % 1000))
    mel = Mel(features, num_frames)
    untouched = features.clone()
    masks = draw_masks(mel, 0, np.random.default_rng(seed))
    widths = {axis: [mask.end - mask.first for mask in masks if mask.axis == axis] for axis in ("frequency", "time")}
    assert len(widths["frequency"]) == 1
    assert len(widths["time"]) == math.ceil(num_frames / 1200)
    assert widths["frequency"][0] <= 27 / 80 * num_bins
    assert max(widths["time"]) <= min(100, 0.08 * num_frames)

    masked = apply_masks(mel, masks)
    assert torch.equal(mel.features, untouched)
    hidden = torch.zeros_like(features, dtype=torch.bool)
    for mask in masks:
        assert 0 <= mask.first <= mask.end <= (num_bins if mask.axis == "frequency" else num_frames)
        if mask.axis == "frequency":
            hidden[mask.first : mask.end] = True
        else:
            hidden[:, mask.first : mask.end] = True
    assert torch.equal(masked.features[~hidden], features[~hidden])
    assert (masked.features[hidden] == features[:, :num_frames].mean()).all()


def test_masks_reach_every_width_and_place():
    mel = Mel(torch.zeros(80, 1200), 1200)
    masks = [mask for seed in range(400) for mask in draw_masks(mel, 2, np.random.default_rng(seed))]
    assert {mask.window for mask in masks} == {2}
    bands = [mask for mask in masks if mask.axis == "frequency"]
    assert {mask.end - mask.first for mask in bands} == set(range(28))
    assert min(mask.first for mask in bands) == 0
    assert max(mask.end for mask in bands) == 80
    assert max(mask.end - mask.first for mask in masks if mask.axis == "time") > 90


def test_masks_are_reported_for_their_windows_and_come_at_their_chance():
    mels = [Mel(torch.rand(80, 1001), 1000), Mel(torch.rand(80, 501), 500)]
    augmenter = Augmenter.of(replace(NEVER, mask_chance=0.5))
    results = [augmenter.mask(mels, Change(), np.random.default_rng(seed)) for seed in range(200)]
    assert 70 < sum(bool(change.masks) for _, change in results) < 130
    for masked, change in results:
        if not change.masks:
            assert all(ours is theirs for ours, theirs in zip(masked, mels, strict=True))
        for window, mel in enumerate(masked):
            own = [mask for mask in change.masks if mask.window == window]
            assert torch.equal(mel.features, apply_masks(mels[window], own).features)
    assert any(mask.window == 1 for _, change in results for mask in change.masks)
    assert isinstance(results[0][1].masks, tuple)
    assert Mask("time", 0, 1, 2) == Mask("time", 0, 1, 2)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"chance": 1.5}, "augment.chance is a chance: got 1.5; give a number from 0 to 1"),
        ({"mask_chance": -0.1}, "augment.mask_chance is a chance"),
        ({"speed": (1.1, 0.9)}, "augment.speed is a range: got 1.1 to 0.9; give two rising numbers from 0.5 to 2.0"),
        ({"snr_db": (5.0, math.inf)}, "augment.snr_db is a range"),
        ({"gain_db": (math.nan, 0.0)}, "augment.gain_db is a range"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, sentence):
    with pytest.raises(UserError, match=sentence):
        Augmenter.of(replace(AugmentSettings(), **wrong))
