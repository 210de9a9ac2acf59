"""Our own engine: answers in the order of the requests, the same for every batch size, streamed or not."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.audio import Waveform, cut_windows
from auricle.conversation import Audio, Message, RawPrompt, Sampling
from auricle.engines import Engine, NativeEngine, Request
from auricle.engines.room import Room, batches
from auricle.errors import UserError
from auricle.model import ModelInput
from auricle.prepare import Prepared
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


@pytest.mark.parametrize(
    "settings", [{}, {"temperature": 1.2, "seed": 2}, {"repetition_penalty": 1.3, "min_new_tokens": 12}], ids=str
)
def test_streamed_pieces_joined_are_the_answer(
    checkpoint: Checkpoint, requests: list[Request], settings: dict[str, float]
):
    engine = NativeEngine(checkpoint)
    sampling = replace(SAMPLING, **settings)  # type: ignore[arg-type]
    for request in requests:
        [answer] = engine.generate([request], sampling)
        pieces = list(engine.stream(request, sampling))
        assert "".join(pieces) == answer.text
        assert all(pieces)
        assert len(pieces) > 1


def test_stop_texts_are_never_shown(checkpoint: Checkpoint, requests: list[Request]):
    """A stop text from the middle of each answer: generated and streamed, the text before it is all that comes."""
    engine = NativeEngine(checkpoint)
    for request, free in zip(requests, engine.generate(requests, SAMPLING), strict=True):
        stop = free.text[3:6]
        sampling = replace(SAMPLING, stop=("never said", stop))
        [answer] = engine.generate([request], sampling)
        assert answer.text == free.text[: free.text.index(stop)]
        assert answer.finish_reason == "stop"
        assert answer.num_tokens < free.num_tokens
        assert "".join(engine.stream(request, sampling)) == answer.text


def test_beams_are_streamed_at_once(checkpoint: Checkpoint, requests: list[Request]):
    engine, sampling = NativeEngine(checkpoint), replace(SAMPLING, num_beams=3)
    answers = list(engine.generate(requests, sampling))
    for request, answer in zip(requests, answers, strict=True):
        assert list(engine.stream(request, sampling)) == [answer.text]
    assert [answer.text for answer in answers] != [answer.text for answer in engine.generate(requests, SAMPLING)]


@pytest.mark.parametrize("num_beams", [1, 2])
def test_token_logprobs(checkpoint: Checkpoint, requests: list[Request], num_beams: int):
    engine, sampling = NativeEngine(checkpoint), replace(SAMPLING, num_beams=num_beams)
    for none, zero, two in zip(
        *(engine.generate(requests, replace(sampling, logprobs=num)) for num in (None, 0, 2)), strict=True
    ):
        assert none.tokens == ()
        assert [token.top for token in zero.tokens] == [()] * zero.num_tokens
        assert len(two.tokens) == two.num_tokens == none.num_tokens
        if two.finish_reason == "length":
            assert sum(token.logprob for token in two.tokens) == pytest.approx(two.logprob, abs=1e-4)
        else:
            assert sum(token.logprob for token in two.tokens) > two.logprob
        for token in two.tokens:
            (best, highest), (_, lower) = token.top
            assert highest >= max(lower, token.logprob)
            assert num_beams > 1 or (best, highest) == (token.text, pytest.approx(token.logprob, abs=1e-5))


def test_special_tokens_among_the_alternatives_have_their_names(checkpoint: Checkpoint, requests: list[Request]):
    """`<|im_end|>` and its like are no text, but have a log-probability that one may ask for."""
    tokenizer = checkpoint.tokenizer
    assert tokenizer.name(tokenizer.special("<|im_end|>")) == "<|im_end|>"
    assert tokenizer.name(tokenizer.encode("a")[0]) == "a"
    sampling = Sampling(logprobs=20, max_new_tokens=12)
    tops = [top for a in NativeEngine(checkpoint).generate(requests, sampling) for t in a.tokens for top in t.top]
    assert any(text.startswith("<|") for text, _ in tops)


def test_a_drawn_answer_depends_on_its_place_alone(checkpoint: Checkpoint, requests: list[Request]):
    sampling = replace(SAMPLING, temperature=1.5, seed=11)
    many = [*requests, *requests[::-1]]
    expected = [answer.text for answer in NativeEngine(checkpoint, batch_size=8).generate(many, sampling)]
    for batch_size in (1, 2, 3):
        assert [a.text for a in NativeEngine(checkpoint, batch_size=batch_size).generate(many, sampling)] == expected
    assert len(set(expected)) == len(many)  # the same request in another place is another draw


def test_eight_batches_are_read_ahead(checkpoint: Checkpoint):
    read: list[int] = []

    def reading() -> Iterator[Request]:
        for index in range(20):
            read.append(index)
            yield Request(RawPrompt(("a" * (index + 1),)))

    answers = NativeEngine(checkpoint, batch_size=1).generate(reading(), Sampling(max_new_tokens=1))
    assert read == []
    for index, answer in enumerate(answers):
        assert len(read) == min(8 * (index // 8 + 1), 20)
        assert answer.num_prompt_tokens == len(checkpoint.tokenizer.encode("a" * (index + 1)))


def test_a_refused_request_costs_no_other(checkpoint: Checkpoint, requests: list[Request]):
    """The third of five does not fit the context: the first two are answered, in full, and then it is refused."""
    long = Request(RawPrompt(("mood? " * 5000,)))
    answers = NativeEngine(checkpoint).generate([*requests[:2], long, *requests[2:]], SAMPLING)
    expected = list(NativeEngine(checkpoint).generate(requests[:2], SAMPLING))
    assert [next(answers).text, next(answers).text] == [answer.text for answer in expected]
    with pytest.raises(UserError, match="prompt too long"):
        next(answers)


def test_a_requests_iterator_that_fails_costs_no_request_before(checkpoint: Checkpoint, requests: list[Request]):
    def reading() -> Iterator[Request]:
        yield requests[0]
        raise UserError("cannot hear it")

    answers = NativeEngine(checkpoint).generate(reading(), SAMPLING)
    assert next(answers).text
    with pytest.raises(UserError, match="cannot hear it"):
        next(answers)


@given(lengths=st.lists(st.integers(1, 900), max_size=40), num_tokens=st.integers(1, 3000), num_rows=st.integers(0, 20))
def test_batches_hold_every_place_once_and_fit(lengths: list[int], num_tokens: int, num_rows: int):
    planned = list(batches(lengths, num_tokens=num_tokens, num_rows=num_rows))
    assert sorted(place for batch in planned for place in batch) == list(range(len(lengths)))
    ordered = [lengths[place] for batch in planned for place in batch]
    assert ordered == sorted(ordered, reverse=True)
    for batch, after in zip(planned, [*planned[1:], []], strict=False):
        longest = lengths[batch[0]]
        assert len(batch) == 1 or len(batch) <= num_rows
        assert len(batch) == 1 or len(batch) * longest <= num_tokens
        assert not after or len(batch) + 1 > num_rows or (len(batch) + 1) * longest > num_tokens  # none is too small


@given(
    running=st.lists(st.integers(1, 900), max_size=9),
    waiting=st.lists(st.integers(1, 900), max_size=9),
    num_tokens=st.integers(1, 3000),
    num_rows=st.integers(1, 12),
)
def test_as_many_join_as_fit(running: list[int], waiting: list[int], num_tokens: int, num_rows: int):
    num = Room(num_tokens, num_rows).count(running, waiting)

    def fits(rows: list[int]) -> bool:
        return len(rows) <= num_rows and len(rows) * max(rows) <= num_tokens

    if num:
        together = [*running, *waiting[:num]]
        assert fits(together) or together == waiting[:1]
    if num < len(waiting):
        assert not fits([*running, *waiting[: num + 1]])
        assert running or num


def test_room_by_hand():
    assert Room(18, 3).count([3, 4], [6, 2]) == 1
    assert Room.of(2) == Room(1600, 16)


def test_batches_by_hand():
    assert list(batches([2, 9, 3, 8], num_tokens=18, num_rows=3)) == [[1, 3], [2, 0]]


def test_short_recordings_share_larger_batches(checkpoint: Checkpoint, noise: Noise, monkeypatch: pytest.MonkeyPatch):
    """Beside two recordings of 30 s fit sixteen short ones; a beam counts as a row."""
    sizes: list[int] = []
    collate = NativeEngine._collate

    def watched(self: NativeEngine, items: list[Prepared]) -> ModelInput:
        sizes.append(len(items))
        return collate(self, items)

    monkeypatch.setattr(NativeEngine, "_collate", watched)
    asked = [Request(RawPrompt((Audio(), "?")), (Waveform(noise(duration_s)),)) for duration_s in (0.2,) * 20]
    sampling = Sampling(max_new_tokens=2)
    list(NativeEngine(checkpoint, batch_size=2).generate(asked, sampling))
    assert sizes == [16, 4]
    sizes.clear()
    list(NativeEngine(checkpoint, batch_size=2).generate(asked[:6], replace(sampling, num_beams=4)))
    assert sizes == [4, 2]
    sizes.clear()
    long = Request(RawPrompt((Audio(), "?")), (Waveform(noise(30.0)),))
    list(NativeEngine(checkpoint, batch_size=2).generate([long] * 3, sampling))
    assert sizes == [2, 1]
    sizes.clear()
    list(NativeEngine(checkpoint, batch_size=2).generate([long] * 2, replace(sampling, num_beams=2)))
    assert sizes == [1, 1]


def test_score_is_what_the_model_gives_its_own_words(checkpoint: Checkpoint, requests: list[Request]):
    """The score of a text is the log-probability of saying it, for every request and however many are scored."""
    tokenizer, engine = checkpoint.tokenizer, NativeEngine(checkpoint)
    words = ["again", "the lazy dog", "", "a"]
    for request in requests:
        scores = engine.score(request, words)
        assert [engine.score(request, [word])[0] for word in words] == pytest.approx(scores, abs=1e-3)
        assert scores[2] == 0.0
        assert max(scores[:2] + scores[3:]) < 0
        [answer] = engine.generate([request], Sampling(max_new_tokens=1, logprobs=20))
        said = dict(answer.tokens[0].top)
        known = [text for text in said if len(tokenizer.encode(text)) == 1 and "\ufffd" not in text and text]
        assert engine.score(request, known) == pytest.approx([said[text] for text in known], abs=1e-3)
    assert len(known) > 3
    assert engine.score(requests[0], []) == []


def test_scored_texts_must_fit_the_context(checkpoint: Checkpoint):
    with pytest.raises(UserError, match=r"prompt too long: \d+ tokens and \d+ to answer, expected at most 4096"):
        NativeEngine(checkpoint).score(Request(RawPrompt(("ab",))), ["fine", "mood? " * 5000])


def test_what_an_engine_says_about_itself(checkpoint: Checkpoint):
    engine: Engine = NativeEngine(checkpoint, batch_size=3)
    assert engine.batch_size == 3
    assert engine.defaults == checkpoint.defaults


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
