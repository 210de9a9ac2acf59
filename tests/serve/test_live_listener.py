"""Stretches of speech out of samples as they come."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.assistant.live import Listener, StretchEnded, StretchStarted
from auricle.audio import VoiceActivity

SECOND = 16_000
VOICE = VoiceActivity(min_silence_s=0.5, pad_s=0.3)


def loudness(chunk: np.ndarray) -> float:
    return float(np.abs(chunk).mean() > 0.1)


def sound(*parts: tuple[float, float]) -> np.ndarray:
    """Loudness and seconds of each part; all samples differ, so that a stretch shows where it lies."""
    levels = np.concatenate([np.full(round(seconds * SECOND), level, np.float32) for level, seconds in parts])
    return levels + np.linspace(0, 0.05, len(levels), dtype=np.float32)


def listener(voice: VoiceActivity | None = VOICE, *, longest_s: float = 60.0) -> Listener:
    return Listener(voice, longest_s=longest_s, probability=loudness)


def pushed(heard: Listener, samples: np.ndarray, portion: int) -> list:
    return [
        event for start in range(0, len(samples), portion) for event in heard.push(samples[start : start + portion])
    ]


def told(events: list) -> list[tuple]:
    return [
        ("start", event.sample)
        if isinstance(event, StretchStarted)
        else ("end", event.stretch.start_sample, event.stretch.waveform.samples.tobytes())
        for event in events
    ]


def test_a_turn_begins_before_speech_and_ends_with_the_silence_after_it():
    samples = sound((0, 1), (1, 2), (0, 1), (1, 1), (0, 1))
    events = pushed(listener(), samples, 640)
    assert [type(event) for event in events] == [StretchStarted, StretchEnded] * 2
    starts = [event.sample / SECOND for event in events[::2]]
    ends = [event.stretch.end_sample / SECOND for event in events[1::2]]
    assert starts == pytest.approx([1 - 0.3, 4 - 0.3], abs=0.04)
    assert ends == pytest.approx([3 + 0.5, 5 + 0.5], abs=0.04)
    for event in events[1::2]:
        stretch = event.stretch
        np.testing.assert_array_equal(stretch.waveform.samples, samples[stretch.start_sample : stretch.end_sample])


parts = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.05, 0.3, 0.7, 2.0])), min_size=1, max_size=6)


@given(parts, st.integers(1, 50_000), st.sampled_from([1.0, 60.0]))
def test_stretches_do_not_depend_on_the_portions(shape, portion, longest_s):
    samples = sound(*shape)
    portion = max(portion, len(samples) // 300)
    whole = told(listener(longest_s=longest_s).push(samples))
    assert told(pushed(listener(longest_s=longest_s), samples, portion)) == whole


@given(parts, st.integers(200, 5000))
def test_stretches_lie_in_order_and_never_overlap(shape, portion):
    events = pushed(listener(VoiceActivity(min_silence_s=0.2, pad_s=1.0)), sound(*shape), portion)
    end = 0
    for number, event in enumerate(events):
        assert isinstance(event, StretchEnded if number % 2 else StretchStarted)
        if isinstance(event, StretchStarted):
            assert event.sample >= end
            start = event.sample
        else:
            assert event.stretch.start_sample == start
            end = event.stretch.end_sample


def test_speech_that_does_not_end_is_cut_and_goes_on():
    events = pushed(listener(longest_s=2.0), sound((0, 1), (1, 5), (0, 1)), 640)
    ended = [event.stretch for event in events if isinstance(event, StretchEnded)]
    assert [len(stretch.waveform.samples) / SECOND for stretch in ended] == pytest.approx([2, 2, 1.8], abs=0.04)
    assert [stretch.start_sample for stretch in ended[1:]] == [stretch.end_sample for stretch in ended[:-1]]


def test_ten_minutes_of_silence_are_not_kept():
    quiet = listener()
    second = np.zeros(SECOND, np.float32)
    for _ in range(600):
        assert quiet.push(second) == []
    assert quiet.num_heard == 600 * SECOND
    assert len(quiet.open.waveform.samples) <= 2 * SECOND


def test_without_voice_activity_only_taking_ends_a_stretch():
    push_to_talk, samples = listener(None), sound((0, 1), (1, 1), (0, 2))
    assert pushed(push_to_talk, samples, 640) == []
    stretch = push_to_talk.take()
    assert stretch.start_sample == 0
    np.testing.assert_array_equal(stretch.waveform.samples, samples)
    push_to_talk.push(samples[:100])
    assert (push_to_talk.take().start_sample, len(push_to_talk.take().waveform.samples)) == (len(samples), 0)


def test_without_voice_activity_a_stretch_is_full_at_its_longest():
    push_to_talk = listener(None, longest_s=2.0)
    push_to_talk.push(np.zeros(2 * SECOND - 1, np.float32))
    assert not push_to_talk.is_full
    push_to_talk.push(np.zeros(1, np.float32))
    assert push_to_talk.is_full
    push_to_talk.clear()
    assert not push_to_talk.is_full


@pytest.mark.parametrize("end", ["take", "clear"])
def test_speech_that_goes_on_after_taking_or_clearing_begins_again(end):
    heard, samples = listener(), sound((0, 1), (1, 3), (0, 1))
    assert len(heard.push(samples[: 2 * SECOND])) == 1
    getattr(heard, end)()
    assert heard.num_open == 0
    started, ended = heard.push(samples[2 * SECOND :])
    assert started.sample == 2 * SECOND  # not before: that was taken, or cleared
    assert ended.stretch.end_sample == pytest.approx(4.5 * SECOND, abs=0.04 * SECOND)


def test_other_voice_activity_counts_from_the_same_start():
    heard, samples = listener(None), sound((0, 1), (1, 1), (0, 1))
    heard.push(samples[: SECOND // 2])
    heard.listen_for(VOICE)
    started, ended = heard.push(samples[SECOND // 2 :])
    assert started.sample == pytest.approx(0.7 * SECOND, abs=0.04 * SECOND)
    assert ended.stretch.end_sample == pytest.approx(2.5 * SECOND, abs=0.04 * SECOND)
    np.testing.assert_array_equal(ended.stretch.waveform.samples, samples[started.sample : ended.stretch.end_sample])
