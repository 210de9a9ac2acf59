"""Every kind of recording a user may have comes out as the same 16 kHz sound."""

import io
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from auricle.audio import load

Encode = Callable[..., bytes]
Sine = Callable[..., np.ndarray]

# container, codec, rates it takes, s that a lossy codec may add or lose at the ends (its blocks, at 8 kHz the longest)
FORMATS = [
    ("wav", "pcm_s16le", (8000, 16000, 22050, 44100, 48000), 0.001),
    ("wav", "pcm_u8", (8000,), 0.001),
    ("wav", "pcm_s24le", (44100,), 0.001),
    ("wav", "pcm_s32le", (44100,), 0.001),
    ("wav", "pcm_f32le", (8000, 44100, 48000), 0.001),
    ("wav", "pcm_f64le", (48000,), 0.001),
    ("wav", "pcm_mulaw", (8000,), 0.001),
    ("wav", "pcm_alaw", (8000,), 0.001),
    ("flac", "flac", (8000, 22050, 44100, 48000), 0.001),
    ("mp3", "libmp3lame", (8000, 16000, 22050, 44100, 48000), 0.06),
    ("ogg", "vorbis", (8000, 44100, 48000), 0.06),
    ("ogg", "libopus", (8000, 48000), 0.06),
    ("ipod", "aac", (8000, 16000, 44100, 48000), 0.13),
    ("webm", "libopus", (8000, 48000), 0.06),
    ("matroska", "aac", (22050,), 0.13),
]
CASES = [
    pytest.param(container, codec, rate, channels, slack_s, id=f"{container}-{codec}-{rate}-{channels}ch")
    for container, codec, rates, slack_s in FORMATS
    for rate in rates
    for channels in (1, 2)
    if (codec, channels) != ("vorbis", 1)  # FFmpeg's own Vorbis encoder writes stereo only
]


def loudest_hz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), n=160_000))
    return float(spectrum.argmax()) / 10


def inner_rms(samples: np.ndarray) -> float:
    """Of the middle, where no codec fades in or out."""
    return float(np.sqrt(np.square(samples[4000:-4000], dtype=np.float64).mean()))


@pytest.mark.parametrize(("container", "codec", "rate", "channels", "slack_s"), CASES)
def test_duration_pitch_and_loudness_survive(
    container: str, codec: str, rate: int, channels: int, slack_s: float, sine: Sine, encode_audio: Encode
):
    tone = np.stack([sine(1.0, hz=700, rate=rate)] * channels)
    waveform = load(encode_audio(tone, container=container, codec=codec, rate=rate))
    assert waveform.samples.dtype == np.float32
    assert waveform.samples.ndim == 1
    assert waveform.duration_s == pytest.approx(1.0, abs=slack_s)
    assert loudest_hz(waveform.samples) == pytest.approx(700, abs=2)
    assert inner_rms(waveform.samples) == pytest.approx(0.5 / np.sqrt(2), rel=0.08)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_path_text_path_bytes_and_array_agree(rate: int, tmp_path: Path, sine: Sine, encode_audio: Encode):
    both = np.stack([sine(0.5, hz=300, rate=rate), 0.3 * sine(0.5, hz=1100, rate=rate)])
    contents = encode_audio(both, container="wav", codec="pcm_f32le", rate=rate)
    path = tmp_path / "two voices ü.wav"
    path.write_bytes(contents)
    expected = load((both.T, rate)).samples
    for source in (path, str(path), contents):
        np.testing.assert_allclose(load(source).samples, expected, atol=2e-5)


def test_a_plain_wav_at_16_khz_is_read_bit_for_bit(encode_audio: Encode):
    codes = np.random.default_rng(0).integers(-32768, 32768, 16000).astype(np.int16)
    contents = encode_audio(codes[None] / np.float32(32768), container="wav", codec="pcm_s16le", rate=16000)
    np.testing.assert_array_equal(load(contents).samples, load((codes, 16000)).samples)
    np.testing.assert_array_equal(load((codes, 16000)).samples, codes / np.float32(32768))


@pytest.mark.parametrize(
    ("dtype", "rest", "loudest", "expected"),
    [
        (np.int16, 0, -32768, -1.0),
        (np.int16, 0, 16384, 0.5),
        (np.int32, 0, -(2**31), -1.0),
        (np.uint8, 128, 0, -1.0),
        (np.uint8, 128, 192, 0.5),
        (np.uint16, 32768, 49152, 0.5),
        (np.float64, 0, 0.25, 0.25),
        (np.float16, 0, 0.25, 0.25),
    ],
)
def test_array_types_are_scaled_to_one(dtype: type, rest: float, loudest: float, expected: float):
    array = np.full(1000, rest, dtype)
    array[500] = loudest
    samples = load((array, 16000)).samples
    assert samples.dtype == np.float32
    assert samples[500] == pytest.approx(expected)
    assert not samples[:500].any()


def test_channels_are_averaged(sine: Sine, encode_audio: Encode):
    tone = sine(0.5)
    assert not load((np.stack([tone, -tone], axis=1), 16000)).samples.any()
    one_sided = load((np.stack([tone, 0 * tone], axis=1), 16000)).samples
    np.testing.assert_allclose(one_sided, tone / 2, atol=1e-6)
    contents = encode_audio(np.stack([tone, 0 * tone]), container="wav", codec="pcm_f32le", rate=16000)
    np.testing.assert_allclose(load(contents).samples, tone / 2, atol=1e-6)


@pytest.mark.parametrize(("container", "codec"), [("wav", "pcm_s16le"), ("flac", "flac"), ("wav", "pcm_f32le")])
def test_one_channel_of_six_is_a_sixth(container: str, codec: str, sine: Sine, encode_audio: Encode):
    tones = np.zeros((6, 22050), np.float32)
    tones[2] = sine(0.5, hz=700, rate=44100)  # the centre, where films speak
    samples = load(encode_audio(tones, container=container, codec=codec, rate=44100)).samples
    assert len(samples) == pytest.approx(8000, abs=2)
    assert loudest_hz(samples) == pytest.approx(700, abs=2)
    assert inner_rms(np.tile(samples, 3)) == pytest.approx(0.5 / np.sqrt(2) / 6, rel=0.02)


def test_compressed_surround(sine: Sine, encode_audio: Encode):
    contents = encode_audio(np.stack([sine(1.0, rate=48000)] * 6), container="ipod", codec="aac", rate=48000)
    waveform = load(contents)
    assert waveform.duration_s == pytest.approx(1.0, abs=0.05)
    assert loudest_hz(waveform.samples) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("num_channels", [3, 8, 12, 32])
def test_channels_without_a_layout(num_channels: int, sine: Sine):
    """PyAV's own planes of 8 channels or more lie outside their array (a crash, not an error)."""
    file = io.BytesIO()
    with wave.open(file, "wb") as output:
        output.setparams((num_channels, 2, 44100, 0, "NONE", ""))
        tone = np.round(sine(0.5, rate=44100) * 32767).astype(np.int16)
        output.writeframes(np.repeat(tone[:, None], num_channels, axis=1).tobytes())
    samples = load(file.getvalue()).samples
    assert len(samples) == pytest.approx(8000, abs=2)
    np.testing.assert_allclose(samples[500:-500], load((tone, 44100)).samples[500:-500], atol=1e-4)


def test_full_scale_stereo_stays_within_one(encode_audio: Encode):
    loud = np.ones((2, 16000), np.float32)
    for codec in ("pcm_s16le", "pcm_f32le"):
        assert np.abs(load(encode_audio(loud, container="wav", codec=codec, rate=16000)).samples).max() <= 1.0


def test_files_joined_end_to_end_may_change_their_form(sine: Sine, encode_audio: Encode):
    bare = {"write_xing": "0", "id3v2_version": "0"}
    first = encode_audio(sine(1.0, rate=44100)[None], container="mp3", codec="libmp3lame", rate=44100, options=bare)
    both = np.stack([sine(1.0, rate=22050)] * 2)
    second = encode_audio(both, container="mp3", codec="libmp3lame", rate=22050, options=bare)
    waveform = load(first + second)
    assert waveform.duration_s == pytest.approx(2.0, abs=0.3)
    assert loudest_hz(waveform.samples[20000:]) == pytest.approx(440, abs=2)


def test_no_high_tone_folds_down(sine: Sine):
    above_nyquist = load((sine(1.0, hz=11_000, rate=48000), 48000)).samples
    assert inner_rms(above_nyquist) < 0.003


def test_an_array_is_not_changed(sine: Sine):
    array = sine(0.2)
    before = array.copy()
    load((array, 8000))
    load((array, 16000))
    np.testing.assert_array_equal(array, before)
