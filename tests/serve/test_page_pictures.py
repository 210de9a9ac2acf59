"""The pictures of what was heard: the model's own input, of any length, silent or short."""

import base64
import io
import re
from collections.abc import Callable

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

from auricle import units
from auricle.audio import Waveform, log_mel
from auricle.serve.page.picture import MEL_BINS, Heard, _times, clock, draw, stamp


def heard(samples: np.ndarray, block: int = 16_000) -> Heard:
    collected = Heard()
    for start in range(0, len(samples), block):
        collected.add(samples[start : start + block])
    return collected


def pixels(figure: str) -> np.ndarray:
    """The mel's picture, brightness [height, width]."""
    address = re.search(r'src="data:image/png;base64,([^"]+)"', figure)
    assert address is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address[1]))).convert("L")).astype(int)


def test_a_short_recording_is_drawn_frame_by_frame(noise: Callable[..., np.ndarray]):
    samples = noise(3.0)
    low, high, mel = heard(samples).columns()
    assert np.array_equal(mel, log_mel(Waveform(samples), num_mel_bins=MEL_BINS).features[:, :300].numpy())
    assert np.array_equal(low, samples.reshape(300, 160).min(axis=1))
    assert np.array_equal(high, samples.reshape(300, 160).max(axis=1))


def test_a_long_recording_keeps_its_peaks_and_its_mean_loudness(noise: Callable[..., np.ndarray]):
    samples = noise(95.0) * np.linspace(0, 1, 95 * 16_000, dtype=np.float32)
    low, high, mel = heard(samples).columns()
    assert mel.shape == (MEL_BINS, 950)
    assert len(low) == len(high) == 950
    blocks = samples.reshape(950, 1600)
    assert np.array_equal(low, blocks.min(axis=1))
    assert np.array_equal(high, blocks.max(axis=1))
    third = log_mel(Waveform(samples[60 * 16_000 : 90 * 16_000]), num_mel_bins=MEL_BINS).features.numpy()
    assert mel[:, 600:900] == pytest.approx(third.reshape(MEL_BINS, 300, 10).mean(axis=2), abs=2e-3)


@pytest.mark.slow
def test_an_hour_has_no_more_columns_than_a_screen(sine: Callable[..., np.ndarray]):
    minute = sine(60.0)
    collected = Heard()
    for _ in range(60):
        collected.add(minute)
    low, high, mel = collected.columns()
    assert mel.shape == (MEL_BINS, 1200)
    assert low.min() == pytest.approx(-0.5, abs=1e-3)
    assert len(high) == 1200
    assert len(draw(collected, "an hour")) < 300_000


@settings(max_examples=10)
@given(cuts=st.lists(st.integers(1, 40 * 16_000 - 1), max_size=6, unique=True))
def test_it_does_not_matter_how_the_blocks_are_cut(cuts: list[int]):
    samples = np.random.default_rng(0).normal(0, 0.1, 40 * 16_000).astype(np.float32)
    whole, pieces = Heard(), Heard()
    whole.add(samples)
    for piece in np.split(samples, sorted(cuts)):
        pieces.add(piece)
    for one, other in zip(whole.columns(), pieces.columns(), strict=True):
        assert np.array_equal(one, other)


def test_follow_passes_every_block_on(noise: Callable[..., np.ndarray]):
    blocks = np.split(noise(2.0), 4)
    collected = Heard()
    assert list(collected.follow(iter(blocks))) == blocks
    assert collected.duration_s == 2.0


def test_silence_is_drawn_and_named():
    figure = draw(heard(np.zeros(16_000, np.float32)), "quiet.wav")
    assert "1.0 s, silence" in figure
    assert len(np.unique(pixels(figure))) == 1


@pytest.mark.parametrize("num_samples", [0, 1, 319, 320])
def test_too_little_for_the_model_is_not_drawn(num_samples: int):
    assert draw(heard(np.zeros(num_samples, np.float32)), "x") == ""


def test_three_frames_are_drawn():
    assert "<figure" in draw(heard(np.ones(321, np.float32)), "x")


@pytest.mark.parametrize(("hz", "half"), [(200.0, "bottom"), (6000.0, "top")])
def test_high_is_up(sine: Callable[..., np.ndarray], hz: float, half: str):
    picture = pixels(draw(heard(sine(1.0, hz=hz)), "tone"))
    assert picture.shape == (MEL_BINS, 100)
    brightest = picture.sum(axis=1).argmax()
    assert (brightest < MEL_BINS / 2) == (half == "top")


def test_later_is_right(sine: Callable[..., np.ndarray]):
    samples = np.concatenate([np.zeros(16_000, np.float32), sine(1.0)])
    columns = pixels(draw(heard(samples), "late")).sum(axis=0)
    assert columns[120:].min() > columns[:80].max()


def test_the_picture_says_what_it_shows(sine: Callable[..., np.ndarray]):
    figure = draw(heard(sine(2.5)), 'a "b" <c>.wav')
    assert 'aria-label="Waveform of a &quot;b&quot; &lt;c&gt;.wav: 2.5 s, peak -6 dB of full scale"' in figure
    assert f"2.5 s, {MEL_BINS} mel bins" in figure
    assert "<c>" not in figure


@pytest.mark.parametrize("duration_s", [0.5, 4.2, 29.9, 61, 3000, 14_400])
def test_the_times_lie_under_the_picture_and_do_not_crowd(duration_s: float):
    collected = Heard()
    for _ in range(round(duration_s / 0.1)):
        collected.num_samples += units.SAMPLE_RATE // 10
    places = [float(place) for place in re.findall(r"left:([\d.]+)%", _times(collected.duration_s))]
    assert places[0] == 0
    assert 3 <= len(places) <= 6
    assert max(places) <= 94
    assert np.diff(places) == pytest.approx(places[1], abs=0.02)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0.0 s"), (4.25, "4.2 s"), (59.94, "59.9 s"), (59.96, "1:00"), (3599.7, "1:00:00"), (3723, "1:02:03")],
)
def test_clock(seconds: float, written: str):
    assert clock(seconds) == written


def test_a_place_is_rounded_down():
    assert [stamp(seconds) for seconds in (0, 4.9, 64.9, 3599.9, 3723)] == ["0:00", "0:04", "1:04", "59:59", "1:02:03"]
