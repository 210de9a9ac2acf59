"""Our own engine: answers in the order of the requests, the same for every batch size, streamed or not."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from auricle.audio import Waveform, cut_windows
from auricle.conversation import Audio, Message, RawPrompt, Sampling
from auricle.engines import NativeEngine, Request
from auricle.errors import UserError
from auricle.weights import Checkpoint

Noise = Callable[..., np.ndarray]
SAMPLING = Sampling(max_new_tokens=12)


@pytest.fixture(scope="module")
def requests(noise: Noise) -> list[Request]:
    def hear(text: str, *durations_s: float) -> Request:
        audios = tuple(Waveform(noise(duration_s, seed=index)) for index, duration_s in enumerate(durations_s))
        return Request((Message("user", (*[Audio()] * len(audios), text)),), audios)

    return [
        hear("What is said?", 0.3),
        hear("Who speaks?"),
        hear("Which mood?", 0.2, 0.5),
        Request(RawPrompt((Audio(), "Detect the language:")), (Waveform(noise(0.4)),)),
        Request(RawPrompt(("recognize the speech:",))),
    ]


def test_order_and_batch_size(checkpoint: Checkpoint, requests: list[Request]):
    alone = [next(NativeEngine(checkpoint).generate([request], SAMPLING)) for request in requests]
    assert len({answer.text for answer in alone}) == len(requests)
    for batch_size in (1, 2, 8):
        answers = list(NativeEngine(checkpoint, batch_size=batch_size).generate(requests, SAMPLING))
        assert [answer.text for answer in answers] == [answer.text for answer in alone]
        assert [answer.num_tokens for answer in answers] == [answer.num_tokens for answer in alone]
        assert [answer.logprob for answer in answers] == pytest.approx([a.logprob for a in alone], abs=1e-3)


def test_counts_and_reasons(checkpoint: Checkpoint, requests: list[Request]):
    for answer in NativeEngine(checkpoint).generate(requests, SAMPLING):
        assert answer.num_tokens <= 12
        assert (answer.finish_reason == "length") == (answer.num_tokens == 12)
        assert answer.logprob < 0
    [raw] = NativeEngine(checkpoint).generate([Request(RawPrompt(("ab",)))], SAMPLING)
    assert raw.num_prompt_tokens == len(checkpoint.tokenizer.encode("ab"))


def test_streamed_pieces_joined_are_the_answer(checkpoint: Checkpoint, requests: list[Request]):
    engine = NativeEngine(checkpoint)
    for request, answer in zip(requests, engine.generate(requests, SAMPLING), strict=True):
        pieces = list(engine.stream(request, SAMPLING))
        assert "".join(pieces) == answer.text
        assert all(pieces)
        assert len(pieces) > 1


def test_requests_are_read_a_batch_at_a_time(checkpoint: Checkpoint, requests: list[Request]):
    read: list[int] = []

    def reading() -> Iterator[Request]:
        for index, request in enumerate(requests):
            read.append(index)
            yield request

    answers = NativeEngine(checkpoint, batch_size=2).generate(reading(), SAMPLING)
    assert read == []
    next(answers)
    assert read == [0, 1]
    next(answers)
    next(answers)
    assert read == [0, 1, 2, 3]


def test_no_requests_no_answers(checkpoint: Checkpoint):
    assert list(NativeEngine(checkpoint).generate([], SAMPLING)) == []


def test_a_long_recording_is_one_span_of_all_its_windows(checkpoint: Checkpoint, noise: Noise):
    long = Waveform(noise(31))
    message = (Message("user", (Audio(), "?")),)
    [answer] = NativeEngine(checkpoint).generate([Request(message, (long,))], Sampling(max_new_tokens=2))
    [empty] = NativeEngine(checkpoint).generate([Request((Message("user", ("?",)),))], Sampling(max_new_tokens=2))
    lengths = [-(-len(window.samples) // 160) for window in cut_windows(long)]
    tokens = sum(((length - 1) // 2 + 1 - 2) // 2 + 1 for length in lengths)
    around = len(checkpoint.tokenizer.encode("user\nAudio 1: ")) - len(checkpoint.tokenizer.encode("user\n?"))
    around += 2 + len(checkpoint.tokenizer.encode("\n?"))
    assert answer.num_prompt_tokens == empty.num_prompt_tokens + tokens + around


def test_what_the_context_cannot_hold_is_refused(checkpoint: Checkpoint):
    engine = NativeEngine(checkpoint)
    with pytest.raises(UserError, match=r"prompt too long: \d+ tokens and 5000 to answer, expected at most 4096"):
        next(engine.generate([Request(RawPrompt(("ab",)))], Sampling(max_new_tokens=5000)))
    with pytest.raises(UserError, match="prompt too long"):
        next(engine.stream(Request(RawPrompt(("ab",))), Sampling(max_new_tokens=5000)))


def test_recordings_and_places_must_agree(checkpoint: Checkpoint, noise: Noise):
    request = Request((Message("user", (Audio(), Audio())),), (Waveform(noise(0.2)),))
    with pytest.raises(UserError, match="places for 2 recordings but 1 were given"):
        next(NativeEngine(checkpoint).generate([request], SAMPLING))
