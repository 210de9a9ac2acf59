"""From recordings to results: pulled, answered, told and given in order; nothing waits for what follows."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle import Assistant, Sampling, UserError
from auricle.assistant import Segment, Watch, segment_delta
from auricle.audio import Decoded, Source, VoiceActivity, load
from auricle.conversation import Answer, TokenLogprob
from auricle.engines import Request

from .scripted import Scripted

Noise = Callable[..., np.ndarray]
RATE = 16000
PROMPT = Path(__file__).parents[2] / "examples" / "recordings" / "prompt.flac"
LOOP = "over and over again " * 20


class Lazy(Scripted):
    """Answers as a service does: so many requests are on their way, and the next is read when one is answered."""

    def __init__(self, *texts: str, in_flight: int = 2, fails_at: int | None = None) -> None:
        super().__init__(*texts)
        self.in_flight, self.fails_at = in_flight, fails_at
        self.log: list[str] = []

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
        self.samplings.append(sampling)
        waiting: deque[Request] = deque()
        requests = iter(requests)
        while True:
            while len(waiting) < self.in_flight and (request := next(requests, None)):
                self.log.append("read")
                waiting.append(request)
            if not waiting:
                return
            self.requests.append(waiting.popleft())
            if len(self.requests) - 1 == self.fails_at:
                raise UserError("the engine broke")
            self.log.append("answered")
            yield self.answers.pop(0)


def silence(duration_s: float) -> tuple[np.ndarray, int]:
    return np.zeros(round(duration_s * RATE), np.float32), RATE


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return load(PROMPT).samples


def test_an_engine_that_reads_as_it_answers_sees_no_end(noise: Noise):
    """All recordings are one stream of requests; a pool would be several calls."""
    engine = Lazy(*"abcdefghijkl", in_flight=3)
    results = Assistant(engine).transcribe([(noise(65), RATE)] * 4, voice=None)
    assert [result.text for result in results] == ["a b c", "d e f", "g h i", "j k l"]
    assert len(engine.samplings) == 1


def test_each_segment_is_told_before_the_next_answer_is_taken(noise: Noise):
    engine = Lazy(*"abcd")
    watch = Watch(segment=lambda path, segment: engine.log.append(segment.text))
    results = Assistant(engine).transcribe_each([(noise(100), RATE)], voice=None, watch=watch)
    assert next(results).text == "a b c d"
    assert engine.log == [
        *("read", "read", "answered", "a", "read", "answered", "b"),
        *("read", "answered", "c", "answered", "d"),
    ]


@pytest.mark.parametrize("in_flight", [1, 2, 3])
def test_each_result_is_given_before_later_answers_are_waited_for(in_flight: int, noise: Noise):
    engine = Lazy(*"abc", in_flight=in_flight)
    results = Assistant(engine).transcribe_each([(noise(1), RATE)] * 3, voice=None)
    for number, text in enumerate("abc", start=1):
        assert next(results).text == text
        assert engine.log.count("answered") == number
    assert next(results, None) is None


def test_a_failed_window_is_tried_again_at_once(noise: Noise):
    engine = Lazy("one", LOOP, "two", "three")
    result = Assistant(engine).transcribe((noise(70), RATE), voice=None)
    assert result.text == "one two three"
    assert [segment.temperature for segment in result.segments] == [0.0, 0.2, 0.0]
    first, second, again, third = engine.requests
    assert again is second
    assert first is not second is not third


def test_an_engine_that_breaks_costs_no_earlier_result(noise: Noise):
    engine = Lazy(*"abcd", in_flight=4, fails_at=3)
    results = Assistant(engine).transcribe_each([(noise(40), RATE), (noise(40), RATE)], voice=None)
    assert next(results).text == "a b"
    with pytest.raises(UserError, match="the engine broke"):
        next(results)


class Deaf(Lazy):
    """Cannot score, as a server of OpenAI's API."""

    def score(self, *_: object) -> list[float]:
        raise UserError("the server cannot score given texts; use another engine for that")


def test_the_language_of_each_recording_is_found_and_told(noise: Noise):
    engine = Lazy(*"abc")
    scores = [[0.0, -9.0, *[-9.0] * 7], [-9.0, 0.0, *[-9.0] * 7]]
    engine.score = lambda *_: scores.pop(0)
    told: list[tuple[str | None, str]] = []
    watch = Watch(
        segment=lambda path, segment: told.append((path, segment.text)),
        language=lambda path, language: told.append((path, language)),
    )
    recordings = [silence(1), (noise(1), RATE), (noise(40), RATE)]
    results = list(Assistant(engine).transcribe_each(recordings[1:], language="auto", voice=None, watch=watch))
    assert [(result.text, result.language) for result in results] == [("a", "en"), ("bc", "zh")]
    assert told == [(None, "en"), (None, "zh"), (None, "a"), (None, "b"), (None, "c")]


def test_silence_needs_no_language_and_no_engine(noise: Noise):
    result = Assistant(Deaf()).transcribe(silence(3), language="auto")
    assert (result.text, result.segments, result.language) == ("", (), None)


@pytest.mark.parametrize("duration_s", [0.03, 3.0])
def test_silence_gives_an_empty_transcript(duration_s: float):
    engine = Scripted()
    result = Assistant(engine).transcribe(silence(duration_s))
    assert (result.text, result.segments, result.finish_reason) == ("", (), "stop")
    assert (result.num_tokens, result.language) == (0, "en")
    assert result.duration_s == pytest.approx(duration_s)
    assert engine.requests == []
    assert engine.samplings == []


@pytest.mark.parametrize("ahead", [1, 8])
def test_silent_recordings_among_others_keep_their_places(ahead: int, speech: np.ndarray):
    said = (speech, RATE)
    engine = Scripted("one", "two", ahead=ahead)
    results = Assistant(engine).transcribe([silence(1), said, silence(2), silence(1.5), said, silence(3)])
    assert [result.text for result in results] == ["", "one", "", "", "two", ""]
    durations = [1, len(speech) / RATE, 2, 1.5, len(speech) / RATE, 3]
    assert [result.duration_s for result in results] == pytest.approx(durations)


def test_each_stretch_of_speech_is_a_segment(speech: np.ndarray):
    samples = np.concatenate([speech, np.zeros(2 * RATE, np.float32), speech, np.zeros(RATE, np.float32)])
    engine = Scripted("one", "two", "all", batch_size=8)
    result = Assistant(engine).transcribe((samples, RATE))
    assert [segment.text for segment in result.segments] == ["one", "two"]
    one, other = result.segments
    assert 0 <= one.start_s < one.end_s < len(speech) / RATE + 2 <= other.start_s < other.end_s
    assert all((segment.speech_probability or 0) > 0.8 for segment in result.segments)
    assert result.duration_s == pytest.approx(len(samples) / RATE)
    heard = Assistant(engine).transcribe((samples, RATE), voice=VoiceActivity(min_silence_s=5))
    assert [segment.text for segment in heard.segments] == ["all"]


def test_without_voice_activity_no_probability_is_given(noise: Noise):
    [segment] = Assistant(Scripted("a")).transcribe((noise(1), RATE), voice=None).segments
    assert segment.speech_probability is None


def test_a_recording_that_breaks_off_costs_no_earlier_result(speech: np.ndarray):
    def broken() -> Iterator[np.ndarray]:
        yield speech
        raise UserError("the recording ends in the middle; send all of it")

    good = Decoded("good.wav", lambda: iter([speech]))
    sources: list[Source] = [good, Decoded("broken.wav", broken), good]
    results = Assistant(Lazy(*"abc")).transcribe_each(sources)
    first = next(results)
    assert (first.text, first.path) == ("a", None)
    with pytest.raises(UserError, match="ends in the middle; send all of it"):
        next(results)
    refused: list[UserError] = []
    watch = Watch(refused=lambda path, error: refused.append(error))
    assert [result.text for result in Assistant(Lazy(*"abc")).transcribe_each(sources, watch=watch)] == ["a", "b"]
    assert len(refused) == 1


def test_what_is_decoded_is_bounded_and_follows_the_answers(noise: Noise):
    """A recording without an end is heard as far as the engine needs."""
    seconds = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal seconds
        while True:
            seconds += 1
            yield noise(1, seed=seconds)

    engine = Lazy(*["a"] * 9, in_flight=2)
    told: list[float] = []
    watch = Watch(segment=lambda path, segment: told.append(seconds - segment.end_s))
    with pytest.raises(IndexError):  # no more texts
        next(Assistant(engine).transcribe_each([Decoded("endless", endless)], voice=None, watch=watch))
    assert len(told) == 9
    assert max(told) <= 2 * 31


def test_tokens_are_reported_where_they_are_asked_for(noise: Noise):
    tokens = (TokenLogprob("a", -0.5, (("b", -1.0),)), TokenLogprob(" c", -0.25))
    engine = Scripted()
    engine.answers = [Answer("a c", 10, 2, "stop", -0.75, tokens)]
    [segment] = Assistant(engine).transcribe((noise(1), RATE), voice=None, sampling=Sampling(logprobs=1)).segments
    assert segment.tokens == tokens


SAID = st.lists(st.sampled_from(["", "one", "two"]), max_size=6)


@given(SAID, st.sampled_from(["en", "zh"]))
def test_the_deltas_joined_are_the_text(texts: list[str], language: str):
    """As a server sends them: each segment's as it comes, knowing only what came before."""
    deltas: list[str] = []
    watch = Watch(
        segment=lambda path, segment: deltas.append(segment_delta(segment, not any(deltas), language)),
    )
    recording = (np.ones(max(1, len(texts)) * RATE - RATE // 2, np.float32), RATE)
    engine = Scripted(*texts, *["three"] * 9)
    results = Assistant(engine).transcribe_each([recording], language=language, voice=None, window_s=1, watch=watch)
    text = next(results).text
    assert "".join(deltas) == text
    assert len(deltas) >= max(1, len(texts))
    assert text.startswith(("" if language == "zh" else " ").join(filter(None, texts)))


@pytest.mark.parametrize(
    ("texts", "language", "deltas"),
    [
        (("", "one", "", "two"), "en", ["", "one", "", " two"]),
        (("one", "two"), None, ["one", " two"]),
        (("你好", "世界"), "zh", ["你好", "世界"]),
    ],
)
def test_deltas(texts: tuple[str, ...], language: str | None, deltas: list[str]):
    segments = [Segment(0.0, 1.0, text, -1.0, 1, 0.0, 1.0) for text in texts]
    spoken = [any(texts[:place]) for place in range(len(texts))]
    found = [segment_delta(segment, not before, language) for segment, before in zip(segments, spoken, strict=True)]
    assert found == deltas


def test_segments_never_overlap(speech: np.ndarray):
    samples = np.concatenate([part for _ in range(2) for part in (speech, np.zeros(RATE // 2, np.float32))])
    result = Assistant(Scripted(*"abcdefghijklmnopqrst")).transcribe((samples, RATE), window_s=2)
    assert len(result.segments) >= 5
    assert all(one.end_s <= other.start_s for one, other in pairwise(result.segments))
    assert all(segment.end_s - segment.start_s <= 2 for segment in result.segments)
