"""What is said of an answer besides its score."""

import random
import string
from dataclasses import replace
from pathlib import Path

import pytest

from auricle.conversation import FinishReason
from auricle.evaluate.flags import Flag, flags_of
from auricle.evaluate.sample import Answered, Sample, Task

LOOP = "and so on " * 5  # zlib shrinks it 2.38 times: only its end shows the loop
LONG_LOOP = "and so on " * 12


def answered(
    text: str,
    *,
    task: Task = "asr",
    language: str = "en",
    target: str | None = None,
    duration_s: float | None = None,
    finish_reason: FinishReason = "stop",
    reference: str = "yes",
) -> Answered:
    one = Sample("1", "made", "made", task, Path("made.wav"), "", reference, language, target, duration_s=duration_s)
    return Answered(one, text, finish_reason=finish_reason)


def flagged(one: Answered) -> set[Flag]:
    return set(flags_of(one, label_expected=False, label=None))


def words(number: int) -> str:
    """Letters at random, which zlib cannot shrink much."""
    letters = random.Random(1)
    return " ".join("".join(letters.choices(string.ascii_lowercase, k=4)) for _ in range(number))


def test_a_good_answer_has_no_flag():
    assert flags_of(answered("Yes, sir."), label_expected=False, label=None) == ()


@pytest.mark.parametrize("text", ["", " \n", "<|en|>", "[laughter]", "Um, hmm.", "..."])
def test_an_answer_without_a_word_is_empty(text: str):
    assert flagged(answered(text)) == {"empty"}


def test_empty_follows_the_language_and_the_task():
    assert flagged(answered("Um, hmm.", language="fr")) == set()
    assert flagged(answered("...", task="translation")) == set()
    assert flagged(answered(" \n", task="translation")) == {"empty"}


def test_cut_off_is_the_limit_of_new_tokens():
    assert flagged(answered("yes and", finish_reason="length")) == {"cut off"}


def test_a_loop_that_ran_into_the_limit_is_runaway():
    assert flagged(answered(LOOP, finish_reason="length")) == {"runaway", "cut off"}
    assert flagged(answered(LOOP)) == set()  # said to its end; and too short for zlib to tell


def test_a_text_that_compresses_well_is_runaway_unless_its_reference_does_too():
    assert flagged(answered(LONG_LOOP)) == {"runaway"}
    assert flagged(answered(LONG_LOOP, reference=LONG_LOOP)) == set()
    assert flagged(answered("好" * 60, language="zh")) == {"runaway"}


@pytest.mark.parametrize(
    ("task", "language", "target", "most"),
    [
        ("asr", "en", None, 5 + 8 * 2),
        ("asr", "zh", None, 5 + 15 * 2),
        ("asr", "th", None, 5 + 15 * 2),
        ("translation", "zh", "en", 5 + 8 * 2),
        ("translation", "en", "zh", 5 + 15 * 2),
    ],
)
def test_too_many_words_for_the_duration_are_runaway(task: Task, language: str, target: str | None, most: int):
    by_character = "zh" in (target or language) or language == "th"
    text = "".join(chr(0x4E00 + 7 * place) for place in range(100)) if by_character else words(100)

    def said(number: int) -> Answered:
        kept = text[:number] if by_character else " ".join(text.split()[:number])
        return answered(kept, task=task, language=language, target=target, duration_s=2.0)

    assert flagged(said(most)) == set()
    assert flagged(said(most + 1)) == {"runaway"}


def test_pace_is_judged_only_where_words_are_said_and_the_duration_is_known():
    assert flagged(answered(words(100), duration_s=1.0)) == {"runaway"}
    assert flagged(answered(words(100), duration_s=None)) == set()
    assert flagged(answered(words(100), task="chat", duration_s=1.0)) == set()


def test_a_label_that_was_not_found_is_unparsed():
    assert flags_of(answered("sad", task="emotion"), label_expected=True, label=None) == ("unparsed",)
    assert flags_of(answered("sad", task="emotion"), label_expected=True, label="sad") == ()
    assert flags_of(answered("", task="emotion"), label_expected=True, label=None) == ("empty", "unparsed")


def test_a_failed_answer_is_nothing_else():
    failed = replace(answered("", finish_reason="length"), failure="cannot be heard")
    assert flags_of(failed, label_expected=True, label=None) == ("failed",)
