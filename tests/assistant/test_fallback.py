"""A window that loops is said again, hotter each time; the best try stays."""

from dataclasses import replace

import pytest

from auricle import Sampling, UserError
from auricle.assistant.fallback import (
    NO_FALLBACK,
    Fallback,
    compression_ratio,
    loops,
    mean_logprob,
    try_again,
)
from auricle.conversation import Answer, RawPrompt
from auricle.engines import Request

from .scripted import Scripted

GREEDY = Sampling()
LOOP = "over and over again " * 20
REQUEST = Request(RawPrompt(("a",)))


def said(engine: Scripted, fallback: Fallback, sampling: Sampling = GREEDY) -> tuple[str, float]:
    """What stays when the engine's first text was the first answer, and its others are those to the retries."""
    [first] = engine.generate([REQUEST], sampling)
    attempt = try_again(engine, REQUEST, first, sampling, fallback)
    return attempt.answer.text, attempt.temperature


def test_what_does_not_loop_stays():
    engine = Scripted("one", "two")
    assert said(engine, Fallback()) == ("one", 0.0)
    assert len(engine.samplings) == 1


def test_what_loops_is_tried_again_until_it_does_not():
    engine = Scripted(LOOP, LOOP, "two", "three")
    assert said(engine, Fallback()) == ("two", 0.4)
    assert [sampling.temperature for sampling in engine.samplings] == [0.0, 0.2, 0.4]
    assert engine.requests == [REQUEST] * 3


def test_retries_are_repeatable_and_never_beams():
    engine = Scripted(LOOP, "a")
    said(engine, Fallback(), Sampling(num_beams=3, length_penalty=2.0, max_new_tokens=9))
    assert engine.samplings[1] == Sampling(temperature=0.2, seed=0, max_new_tokens=9)
    engine = Scripted(LOOP, "a")
    said(engine, Fallback(), Sampling(temperature=0.1, seed=7))
    assert engine.samplings[1].seed == 7


def test_no_retry_is_colder_than_the_first_try():
    engine = Scripted(LOOP, LOOP, "a")
    assert said(engine, Fallback(), Sampling(temperature=0.6, seed=7)) == ("a", 1.0)
    assert [sampling.temperature for sampling in engine.samplings] == [0.6, 0.8, 1.0]


def test_where_every_try_loops_the_first_stays():
    engine = Scripted(LOOP, *[LOOP + str(number) for number in range(5)])
    assert said(engine, Fallback()) == (LOOP, 0.0)
    assert len(engine.samplings) == 6


def test_where_every_try_is_guessed_the_likeliest_without_a_loop_stays():
    engine = Scripted("x", "y", LOOP, "z", logprobs=(-9, -6, -0.1, -7))
    fallback = Fallback(temperatures=(0.3, 0.6, 0.9), min_logprob=-1.0)
    assert said(engine, fallback) == ("y", 0.3)


def test_a_likely_enough_try_ends_the_search():
    engine = Scripted("x", "y", logprobs=(-9, -2))
    assert said(engine, Fallback(min_logprob=-1.0)) == ("y", 0.2)
    assert len(engine.samplings) == 2


def test_without_temperatures_everything_stays():
    engine = Scripted(LOOP)
    assert said(engine, NO_FALLBACK) == (LOOP, 0.0)
    assert len(engine.samplings) == 1


def test_a_short_loop_is_caught_where_the_limit_was_reached():
    answer = Answer("well well well well we", 5, 9, "length", -1.0)
    assert compression_ratio(answer.text) < 2.4
    assert loops(answer)
    assert not Fallback().accepts(answer)
    assert Fallback().accepts(replace(answer, finish_reason="stop"))


def test_compression_ratio():
    assert compression_ratio("") == 1.0
    assert compression_ratio("The quick brown fox jumps over the lazy dog.") < 1.5
    assert compression_ratio(LOOP) > 10


def test_the_mean_counts_the_token_that_ended_the_answer():
    assert mean_logprob(Answer("a b", 5, 3, "stop", -8.0)) == -2.0
    assert mean_logprob(Answer("a b", 5, 4, "length", -8.0)) == -2.0
    assert mean_logprob(Answer("", 5, 0, "stop", -0.5)) == -0.5


@pytest.mark.parametrize("temperature", [0.0, -0.2])
def test_a_second_greedy_try_is_refused(temperature: float):
    with pytest.raises(UserError, match="fallback temperatures must be above 0"):
        Fallback(temperatures=(temperature,))
