"""Windows of speech: all of it, each stretch with its share of the pauses, none too long, in little memory."""

import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from speech_rule import stretches

from auricle.audio import VoiceActivity, Window, cut_windows, load, stream_windows
from auricle.audio.speech_windows import speech_windows
from auricle.audio.voice_activity import CHUNK_SAMPLES, Probability
from auricle.errors import UserError

RECORDINGS = Path(__file__).parents[2] / "examples" / "recordings"
RATE = 16000
LENGTHS = st.sampled_from([0, 0.05, 0.1, 0.3, 1.0])
VOICES = st.builds(VoiceActivity, st.just(0.5), min_silence_s=LENGTHS, min_speech_s=LENGTHS, pad_s=LENGTHS)
SPANS = st.lists(st.tuples(st.sampled_from([0.0, 0.4, 0.9]), st.integers(1, 90)), max_size=10)


def told(probabilities: list[float]) -> Probability:
    """One after another, and no more than there are."""
    following = iter(probabilities)
    return lambda _: next(following)


def numbered(num_samples: int) -> np.ndarray:
    """Samples that say their place."""
    return np.arange(num_samples, dtype=np.float32)


def sound(window: Window) -> tuple[int, int]:
    """Where in `numbered` samples a window's sound begins and ends."""
    start = int(window.waveform.samples[0])
    end = start + len(window.waveform.samples)
    np.testing.assert_array_equal(window.waveform.samples, np.arange(start, end))
    return start, end


@given(SPANS, st.integers(1, CHUNK_SAMPLES), VOICES, st.sampled_from([1.0, 1.5, 4.0]), st.integers(0, 3))
def test_all_speech_and_its_share_of_the_pauses(
    spans: list[tuple[float, int]], num_last: int, voice: VoiceActivity, longest_s: float, seed: int
):
    probabilities = [probability for probability, num in spans for _ in range(num)]
    num_samples = max(0, (len(probabilities) - 1) * CHUNK_SAMPLES + num_last)
    samples, longest = numbered(num_samples), int(longest_s * RATE)
    cuts = np.sort(np.random.default_rng(seed).integers(0, num_samples + 1, 4 * seed))
    windows = list(speech_windows(np.split(samples, cuts), voice, longest, probability=told(probabilities)))
    sounds = [sound(window) for window in windows]
    assert all(end - start <= longest for start, end in sounds)
    assert all(end <= start for (_, end), (start, _) in pairwise(sounds))
    for window, (start, end) in zip(windows, sounds, strict=True):
        assert start <= window.start_sample < window.end_sample <= end

    spoken = stretches(probabilities, num_samples, voice)
    assert joined([(window.start_sample, window.end_sample) for window in windows]) == joined(spoken)
    pad = min(round(voice.pad_s * RATE), longest // 4)
    ends, starts = [-num_samples, *(end for _, end in spoken)], [*(start for start, _ in spoken), 2 * num_samples]
    expected = [
        (max(start - pad, (start + before) // 2, 0), min(end + pad, (end + after) // 2, num_samples))
        for before, (start, end), after in zip(ends[:-1], spoken, starts[1:], strict=True)
    ]
    assert joined(sounds) == joined(expected)


def joined(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Intervals that touch as one."""
    whole: list[tuple[int, int]] = []
    for start, end in intervals:
        if whole and whole[-1][1] == start:
            whole[-1] = (whole[-1][0], end)
        else:
            whole.append((start, end))
    return whole


def test_a_stretch_that_fits_is_one_window_and_a_longer_one_is_cut_where_it_is_quiet():
    voice = VoiceActivity(min_silence_s=0.5, min_speech_s=0.1, pad_s=0.25)
    num_chunks = 40 * RATE // CHUNK_SAMPLES
    samples = np.random.default_rng(0).normal(0, 0.1, num_chunks * CHUNK_SAMPLES).astype(np.float32)
    quiet = 27 * RATE
    samples[quiet - 800 : quiet + 800] = 0
    one, other = speech_windows([samples], voice, 30 * RATE, probability=told([0.9] * num_chunks))
    assert one.end_sample == other.start_sample == pytest.approx(quiet, abs=100)
    assert one.speech_probability == pytest.approx(0.9)
    np.testing.assert_array_equal(np.concatenate([one.waveform.samples, other.waveform.samples]), samples)
    [whole] = speech_windows([samples[: 29 * RATE]], voice, 30 * RATE, probability=told([0.9] * num_chunks))
    assert (whole.start_s, whole.end_s) == (0.0, 29.0)
    assert len(list(speech_windows([samples[: 29 * RATE]], voice, 10 * RATE, probability=told([0.9] * 999)))) >= 3


def test_the_probability_is_the_mean_over_the_speech():
    voice = VoiceActivity(min_silence_s=0.1, min_speech_s=0.03, pad_s=1.0)
    probabilities = [0.0] * 9 + [0.6, 0.9, 0.2, 0.9] + [0.1] * 9
    [window] = speech_windows([numbered(22 * CHUNK_SAMPLES)], voice, RATE, probability=told(probabilities))
    assert window.start_sample == 9 * CHUNK_SAMPLES
    assert window.speech_probability == pytest.approx((0.6 + 0.9 + 0.2 + 0.9) / 4)


def test_a_window_comes_as_soon_as_the_next_one_could_begin():
    voice = VoiceActivity(min_silence_s=0.5, pad_s=0.2)
    read: list[int] = []

    def parts() -> Iterator[np.ndarray]:
        for place in range(900):
            read.append(place)
            yield numbered(CHUNK_SAMPLES)

    probabilities = [0.9] * 50 + [0.0] * 850
    next(speech_windows(parts(), voice, 30 * RATE, probability=told(probabilities)))
    assert 50 < len(read) <= 50 + 0.5 * RATE / CHUNK_SAMPLES + 1


@pytest.mark.parametrize("speech", ["none", "always", "often"])
def test_long_recordings_are_heard_in_little_memory(speech: str):
    """Ten minutes are 38 MB of samples; a window of 30 s is 2, and is joined of its chunks."""
    pattern = {"none": [0.0], "always": [0.9], "often": [0.9] * 400 + [0.0] * 100}[speech]
    num_chunks = 600 * RATE // CHUNK_SAMPLES
    probabilities = iter(pattern * (num_chunks // len(pattern) + 1))
    parts = (np.zeros(RATE, np.float32) for _ in range(600))
    tracemalloc.start()
    windows = speech_windows(parts, VoiceActivity(), 30 * RATE, probability=lambda _: next(probabilities))
    num = sum(1 for _ in windows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert num == {"none": 0, "always": num, "often": 38}[speech]
    assert num >= 20 or speech == "none"
    assert peak < 16e6


def test_a_recording_as_it_is_decoded():
    """The pauses of one recording put between two; what lies between the windows is the pause."""
    speech = load(RECORDINGS / "prompt.flac").samples
    samples = np.concatenate([np.zeros(RATE, np.float32), speech, np.zeros(2 * RATE, np.float32), speech])
    windows = stream_windows((samples, RATE), voice=VoiceActivity())
    one, other = windows
    assert windows.duration_s == pytest.approx(len(samples) / RATE)
    assert other.start_s - one.start_s == pytest.approx(2 + len(speech) / RATE, abs=0.1)
    assert 1 <= one.start_s < one.end_s <= 1 + len(speech) / RATE
    assert one.speech_probability is not None
    assert one.speech_probability > 0.8
    heard = samples[int(one.start_s * RATE) : int(one.end_s * RATE)]
    assert len(heard) < len(one.waveform.samples) <= len(heard) + 2 * 0.4 * RATE


def test_silence_has_no_windows_and_its_length_is_known():
    windows = stream_windows((np.zeros(70 * RATE, np.float32), RATE), voice=VoiceActivity())
    assert list(windows) == []
    assert windows.duration_s == 70


def test_without_voice_activity_all_of_it_is_heard(noise):
    samples = noise(65)
    windows = stream_windows((samples, RATE))
    whole = cut_windows(load((samples, RATE)))
    for window, each in zip(windows, whole, strict=True):
        np.testing.assert_array_equal(window.waveform.samples, each.samples)
        assert window.end_sample - window.start_sample == len(each.samples)
        assert window.speech_probability is None
    assert windows.duration_s == 65


@pytest.mark.parametrize("source", [(np.zeros(320, np.float32), RATE), b"", b"a shopping list " * 99])
def test_what_load_refuses_is_refused_in_the_same_words(source):
    with pytest.raises(UserError) as loading:
        load(source)
    with pytest.raises(UserError) as streaming:
        list(stream_windows(source, voice=VoiceActivity()))
    assert str(streaming.value) == str(loading.value)
