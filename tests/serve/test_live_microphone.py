"""Bytes of a microphone in portions of any size: the same samples as the whole at once, and as other decoders give."""

from itertools import pairwise

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.assistant.live import Encoding, Microphone
from auricle.audio import load
from auricle.errors import UserError

ENCODINGS = [
    Encoding(),
    Encoding("pcm", 16_000),
    Encoding("pcm", 8_000),
    Encoding("pcm", 48_000),
    Encoding("pcm", 44_100),
    Encoding("pcmu", 8_000),
    Encoding("pcma", 8_000),
]
CODECS = {"pcmu": "pcm_mulaw", "pcma": "pcm_alaw"}


def heard(encoding: Encoding, portions: list[bytes]) -> np.ndarray:
    microphone = Microphone(encoding)
    return np.concatenate([*(microphone.push(portion) for portion in portions), microphone.finish()])


@given(st.sampled_from(ENCODINGS), st.binary(max_size=3000), st.lists(st.integers(0, 1500), max_size=6))
def test_samples_do_not_depend_on_the_portions(encoding, data, cuts):
    width = 2 if encoding.kind == "pcm" else 1
    data = data[: len(data) // width * width]
    places = [0, *sorted(min(width * cut, len(data)) for cut in cuts), len(data)]
    portions = [data[start:end] for start, end in pairwise(places)]
    np.testing.assert_array_equal(heard(encoding, portions), heard(encoding, [data]))


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
def test_pcm_is_heard_as_a_file_of_it(rate, sine):
    samples = np.round(sine(0.5, rate=rate) * 32767).astype("<i2")
    portions = [samples[start : start + rate // 50].tobytes() for start in range(0, len(samples), rate // 50)]
    np.testing.assert_allclose(heard(Encoding("pcm", rate), portions), load((samples, rate)).samples, atol=2e-6)


def test_a_tone_has_no_click_at_the_borders_of_frames(sine):
    """A click is a jump; a resampler that began anew with every frame would make one each 20 ms."""
    samples = np.round(sine(1.0, hz=200, rate=24_000) * 32767).astype("<i2")
    portions = [samples[start : start + 480].tobytes() for start in range(0, len(samples), 480)]
    assert largest_jump(heard(Encoding(), portions)) < 1.05 * largest_jump(sine(1.0, hz=200))
    anew = np.concatenate([heard(Encoding(), [portion]) for portion in portions])
    assert largest_jump(anew) > 1.2 * largest_jump(sine(1.0, hz=200))


def largest_jump(samples: np.ndarray) -> float:
    return float(np.abs(np.diff(samples[200:-200], n=2)).max())


@pytest.mark.parametrize("kind", ["pcmu", "pcma"])
def test_g711_is_what_ffmpeg_decodes(kind):
    data = bytes(range(256)) * 10
    codec = av.CodecContext.create(CODECS[kind], "r")
    codec.layout, codec.sample_rate = "mono", 8_000
    [frame] = codec.decode(av.Packet(data))
    reference = frame.to_ndarray()[0].astype(np.int16)
    np.testing.assert_array_equal(
        heard(Encoding(kind, 8_000), [data]), heard(Encoding("pcm", 8_000), [reference.tobytes()])
    )


def test_half_a_sample_is_refused_and_the_microphone_goes_on():
    microphone = Microphone(Encoding("pcm", 16_000))
    with pytest.raises(UserError, match="3 bytes of 16-bit sound: expected an even number"):
        microphone.push(b"abc")
    assert len(microphone.push(b"\0\0" * 100)) == 100


@pytest.mark.parametrize("rate", [0, 7_999, 48_001])
def test_a_rate_that_is_none_of_sound_is_refused(rate):
    with pytest.raises(UserError, match="the microphone's rate must lie in 8000 to 48000"):
        Encoding("pcm", rate)


def test_g711_has_one_rate():
    with pytest.raises(UserError, match=r"G\.711 sound has 8000 samples/s: got 16000"):
        Encoding("pcmu", 16_000)
