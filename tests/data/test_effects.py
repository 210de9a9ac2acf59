"""What happens to a recording: each effect measured from outside."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_sound import RATE, loudest_hz, power_between, speech_like

from auricle.data.effects import add_room, change_speed, compand, fast_length, frame_power, impulse_response, narrow


@pytest.mark.parametrize("hz", [200, 1000, 7000])
@pytest.mark.parametrize("factor", [0.9, 0.937, 1.0, 1.05, 1.1])
def test_speed_scales_a_tones_pitch_and_the_length(sine, factor, hz):
    changed = change_speed(sine(2.0, hz=hz), factor)
    assert len(changed) == round(32000 / factor)
    assert changed.dtype == np.float32
    assert loudest_hz(changed) == pytest.approx(hz * factor, abs=0.5)
    middle = changed[1000:-1000]
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.5, rel=2e-3)
    beside = power_between(middle, 0, hz * factor - 20) + power_between(middle, hz * factor + 20, 8001)
    assert beside < 1e-5 * power_between(middle, 0, 8001)


def test_a_faster_tone_beyond_the_highest_frequency_goes_and_is_not_folded_back(sine):
    tone = sine(1.0, hz=7600.0)
    changed = change_speed(tone, 1.1)[800:-800]  # to 8 360 Hz, which 16 000 samples/s would show as 7 640 Hz
    assert np.mean(changed**2) < 1e-5 * np.mean(tone**2)
    folded = tone[np.round(np.arange(0, len(tone) - 1, 1.1)).astype(int)]  # what a naive resampler gives
    assert np.mean(folded**2) > 0.5 * np.mean(tone**2)


@pytest.mark.parametrize("decay_s", [0.15, 0.4])
def test_a_room_decays_by_60_db_in_the_stated_time_and_starts_with_the_direct_sound(decay_s):
    response = impulse_response(decay_s, 6.0, np.random.default_rng(0)).astype(np.float64)
    assert response[0] == 1.0
    assert 10 * math.log10(1.0 / np.sum(response[1:] ** 2)) == pytest.approx(6.0, abs=0.01)
    left_db = 10 * np.log10(np.cumsum(response[:0:-1] ** 2)[::-1] / np.sum(response[1:] ** 2))  # Schroeder's curve
    slope_db_per_s = np.polyfit(np.arange(len(left_db))[left_db > -30] / RATE, left_db[left_db > -30], 1)[0]
    assert -60 / slope_db_per_s == pytest.approx(decay_s, rel=0.1)


def test_a_room_is_a_convolution_and_rings_into_a_pause():
    speech = speech_like(1.0)
    response = impulse_response(0.1, 3.0, np.random.default_rng(0))
    heard = add_room(speech, response)
    assert np.allclose(heard, np.convolve(speech, response)[: len(speech)], atol=1e-5)
    pause = slice(len(speech) // 3, len(speech) // 3 + 400)
    assert not speech[pause].any()
    assert np.abs(heard[pause]).max() > 1e-3


def test_a_telephone_keeps_its_band_alone(noise):
    sound = noise(2.0)
    heard = compand(narrow(sound))
    for inside in ((400, 1000), (1000, 3000)):
        assert power_between(heard, *inside) == pytest.approx(power_between(sound, *inside), rel=0.05)
    for outside in ((20, 180), (4050, 8000)):
        assert power_between(heard, *outside) < 0.01 * power_between(sound, *outside)


def test_mu_law_is_heard_as_noise_38_db_down_and_as_no_more(noise):
    sound = narrow(noise(2.0))
    heard = compand(sound)
    lost = heard[500:-500] - sound[500:-500]
    assert 35 < 10 * math.log10(np.mean(sound**2) / np.mean(lost**2)) < 41  # ITU-T G.711: about 38 dB


@pytest.mark.parametrize("level", [1.0, 1e-3])
def test_a_quiet_recording_comes_through_the_telephone_as_well_as_a_loud_one(noise, level):
    sound = narrow(noise(1.0)) * np.float32(level)
    assert np.allclose(compand(sound) / level, compand(sound / np.float32(level)), atol=1e-5)


@given(st.integers(1, 10**7))
def test_a_fast_length_is_the_least_product_of_two_three_and_five(at_least):
    length = fast_length(at_least)
    assert at_least <= length <= max(1.2 * at_least, at_least + 2)
    assert is_smooth(length)
    if at_least < 5000:
        assert not any(is_smooth(other) for other in range(at_least, length))


def is_smooth(number: int) -> bool:
    for factor in (2, 3, 5):
        while number % factor == 0:
            number //= factor
    return number == 1


def test_a_level_is_that_of_what_there_is_also_at_the_end():
    assert frame_power(np.concatenate([np.full(320, 0.5), np.full(100, 2.0)])).tolist() == [0.25, 4.0]
