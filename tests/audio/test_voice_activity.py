"""Starts and ends of speech: the rule against its words, whatever the portions; Silero's own on real recordings."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from speech_rule import stretches

from auricle.audio import SpeechDetector, SpeechEnded, SpeechEvent, SpeechStarted, VoiceActivity, load
from auricle.audio.voice_activity import CHUNK_SAMPLES
from auricle.errors import UserError

RECORDINGS = Path(__file__).parents[2] / "examples" / "recordings"
RATE = 16000
CHUNK_S = CHUNK_SAMPLES / RATE
LENGTHS = st.sampled_from([0, 0.01, CHUNK_S, 0.05, 2 * CHUNK_S, 0.1, 0.2])
VOICES = st.builds(
    VoiceActivity, st.sampled_from([0.1, 0.5, 0.7]), min_silence_s=LENGTHS, min_speech_s=LENGTHS, pad_s=LENGTHS
)
PROBABILITIES = st.lists(st.sampled_from([0.0, 0.005, 0.2, 0.36, 0.5, 0.6, 0.9]), max_size=40)


def samples_of(probabilities: list[float], num_last: int = CHUNK_SAMPLES) -> np.ndarray:
    """Every sample of a chunk says the chunk's probability; the last chunk may be shorter."""
    samples = np.repeat(np.array(probabilities, np.float32), CHUNK_SAMPLES)
    return samples[: len(samples) - CHUNK_SAMPLES + num_last] if probabilities else samples


def said(chunk: np.ndarray) -> float:
    """The probability that `samples_of` wrote; only what lies behind the recording may be another number."""
    assert chunk.shape == (CHUNK_SAMPLES,)
    assert set(chunk) <= {chunk[0], np.float32(0)}
    return float(chunk[0])


def listen(detector: SpeechDetector, parts: list[np.ndarray]) -> list[SpeechEvent]:
    return [*(event for part in parts for event in detector.push(part)), *detector.finish()]


def pairs(events: list[SpeechEvent]) -> Iterator[tuple[int, int]]:
    for started, ended in zip(events[::2], events[1::2], strict=True):
        assert isinstance(started, SpeechStarted)
        assert isinstance(ended, SpeechEnded)
        yield started.sample, ended.sample


@settings(max_examples=200)
@given(PROBABILITIES, st.integers(1, CHUNK_SAMPLES), VOICES, st.lists(st.integers(0, 40 * CHUNK_SAMPLES), max_size=9))
def test_the_rule_whatever_the_portions(
    probabilities: list[float], num_last: int, voice: VoiceActivity, cuts: list[int]
):
    samples = samples_of(probabilities, num_last)
    parts = np.split(samples, sorted(min(cut, len(samples)) for cut in cuts))
    expected = stretches(probabilities, len(samples), voice)
    assert list(pairs(listen(SpeechDetector(voice, probability=said), parts))) == expected
    assert list(pairs(listen(SpeechDetector(voice, probability=said), [samples]))) == expected


VOICE = VoiceActivity(threshold=0.5, min_silence_s=3 * CHUNK_S, min_speech_s=2 * CHUNK_S)


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([0.0, 0.5, 0.9, 0.0, 0.0, 0.0, 0.0], [(1, 3)]),
        ([0.9, 0.36, 0.36, 0.0, 0.0, 0.0], [(0, 3)]),  # above the threshold less 0.15 it goes on
        ([0.36, 0.49, 0.9, 0.9], [(2, 4)]),  # but does not begin there
        ([0.9, 0.34, 0.36, 0.36, 0.9, 0.9], [(4, 6)]),  # nor go on once it was lower: three chunks were a pause
        ([0.9, 0.9, 0.0, 0.0, 0.9, 0.0, 0.0, 0.0], [(0, 5)]),  # two are none
        ([0.9, 0.9, 0.0, 0.0, 0.0, 0.9, 0.9], [(0, 2), (5, 7)]),
        ([0.9, 0.0, 0.0, 0.0, 0.9, 0.0, 0.0, 0.0], []),  # a click and another
        ([0.9, 0.0, 0.9, 0.0, 0.0, 0.0], [(0, 3)]),  # enough is spoken, in parts
        ([], []),
        ([0.0] * 9, []),
        ([0.9] * 9, [(0, 9)]),
    ],
)
def test_worked_examples(probabilities: list[float], expected: list[tuple[int, int]]):
    events = listen(SpeechDetector(VOICE, probability=said), [samples_of(probabilities)])
    assert [(start // CHUNK_SAMPLES, end // CHUNK_SAMPLES) for start, end in pairs(events)] == expected


def test_the_pauses_inside_a_stretch_are_no_speech():
    """Two clicks are two chunks of speech, however far apart."""
    voice = replace(VOICE, min_speech_s=3 * CHUNK_S)
    assert listen(SpeechDetector(voice, probability=said), [samples_of([0.9, 0.0, 0.9, 0.0, 0.0, 0.0])]) == []
    assert len(listen(SpeechDetector(voice, probability=said), [samples_of([0.9, 0.0, 0.9, 0.9, 0.0, 0.0])])) == 2


def test_each_event_comes_as_soon_as_it_is_certain():
    """A start after `min_speech_s` of speech, an end after `min_silence_s` of silence, and `speaking` between them."""
    detector = SpeechDetector(VOICE, probability=said)
    told = []
    for place, probability in enumerate([0.0, 0.9, 0.9, 0.9, 0.0, 0.0, 0.0, 0.0, 0.9]):
        events = detector.push(samples_of([probability]))
        told.append((place, [(type(event), event.sample // CHUNK_SAMPLES) for event in events], detector.speaking))
    assert [each for each in told if each[1]] == [(2, [(SpeechStarted, 1)], True), (6, [(SpeechEnded, 4)], False)]
    assert [speaking for _, _, speaking in told] == [False] * 2 + [True] * 4 + [False] * 3
    assert detector.finish() == []


@given(PROBABILITIES, VOICES)
def test_no_stretch_begins_before_what_is_undecided(probabilities: list[float], voice: VoiceActivity):
    detector = SpeechDetector(voice, probability=said)
    decided = 0
    for probability in probabilities:
        events = detector.push(samples_of([probability]))
        assert all(event.sample >= decided for event in events if isinstance(event, SpeechStarted))
        assert detector.undecided_from >= decided
        decided = detector.undecided_from


@pytest.mark.parametrize("name", ["prompt", "librivox"])
@pytest.mark.parametrize("size", [1, 160, 512, 700, 16000])
def test_silero_hears_a_recording_in_any_portions(name: str, size: int):
    samples = load(RECORDINGS / f"{name}.flac").samples[: 2 * RATE]
    heard = listen(SpeechDetector(VoiceActivity()), [samples])
    [(start, end)] = pairs(heard)
    assert 0 < start < 0.5 * RATE < 1.5 * RATE < end <= len(samples)
    parts = [samples[place : place + size] for place in range(0, len(samples), size)]
    assert listen(SpeechDetector(VoiceActivity()), parts) == heard


def test_two_detectors_do_not_hear_each_other(noise: Callable[..., np.ndarray]):
    speech = load(RECORDINGS / "prompt.flac").samples[:RATE]
    alone = listen(SpeechDetector(VoiceActivity()), [speech])
    one, other = SpeechDetector(VoiceActivity()), SpeechDetector(VoiceActivity())
    together = []
    for part in np.split(speech, 20):
        assert other.push(noise(0.1)) == []
        together += one.push(part)
    assert together + one.finish() == alone != []


@pytest.mark.parametrize("kind", ["silence", "noise", "tone"])
def test_silero_hears_no_speech_where_there_is_none(kind: str, noise, sine):
    samples = {"silence": np.zeros(3 * RATE, np.float32), "noise": noise(3), "tone": sine(3)}[kind]
    assert listen(SpeechDetector(VoiceActivity()), [samples]) == []


@pytest.mark.parametrize("threshold", [0, 1, -0.1, 1.5, float("nan")])
def test_a_threshold_is_a_probability(threshold: float):
    with pytest.raises(UserError, match=f"threshold of voice activity must lie between 0 and 1: got {threshold}; 0.3"):
        VoiceActivity(threshold=threshold)


@pytest.mark.parametrize("name", ["min_silence_s", "min_speech_s", "pad_s"])
@pytest.mark.parametrize("seconds", [-0.001, float("nan"), float("inf")])
def test_a_length_is_not_negative(name: str, seconds: float):
    with pytest.raises(UserError, match=f"{name} of voice activity must not be negative: got {seconds} s"):
        replace(VoiceActivity(), **{name: seconds})
