"""Held-out questions, and how their answers are scored."""

from pathlib import Path

import pytest

from auricle.conversation import Audio, Message
from auricle.data import Example, Recording
from auricle.errors import UserError
from auricle.train.answering import HeldoutAnswer, ask_of, rates


def test_a_question_is_the_example_up_to_its_last_answer(recordings: list[Path]) -> None:
    messages = (
        Message("user", (Audio(), "First?")),
        Message("assistant", ("one",)),
        Message("user", ("Second?", Audio())),
        Message("assistant", ("two",)),
    )
    asked = ask_of(Example(messages, None, tuple(map(Recording, recordings[:2])), "made", "made", "dialogue"))
    assert asked.reference == "two"
    assert asked.request.prompt == messages[:3]
    assert len(asked.request.audios) == 2


def test_a_dialogue_without_an_answer_cannot_be_asked() -> None:
    with pytest.raises(UserError, match="has no answer of the assistant"):
        ask_of(Example((Message("user", ("hello",)),), None, (), "file.jsonl:3", "made", "dialogue"))


def said(reference: str, hypothesis: str, task: str = "asr") -> HeldoutAnswer:
    return HeldoutAnswer("", "", reference, hypothesis, task)


def test_error_rates_are_of_the_corpus_and_of_words_alone() -> None:
    answers = [
        said("<|en|> The quick, brown fox.", "the quick brown cat"),  # 1 of 4
        said("<|zh|>你好吗", "你好啊"),  # 1 of 3 characters
        said("Hello!", "<|en|>hello"),  # 0 of 1
        said("no rate", "of a caption", "captioning"),
        said("Happy", "happy.", "emotion"),
        said("sad", "happy", "emotion"),
        said("speech", "", "voice_activity"),
    ]
    assert rates(answers) == {"wer": 2 / 8, "exact_match": pytest.approx(1 / 3)}


@pytest.mark.parametrize("task", ["analysis", "voice chat", "interleaved", "text", "factual", "preference"])
def test_conversations_have_a_rate_of_their_own(task: str) -> None:
    answers = [said("It is a dog.", "it is a cat", task), said("No.", "no", task), said("one two", "one")]
    assert rates(answers) == {"answer_wer": 1 / 5, "wer": 1 / 2}


def test_silence_as_reference_has_no_rate_of_its_own() -> None:
    assert rates([said("", "")]) == {}
    assert rates([said("", "one"), said("two", "two")]) == {"wer": 1.0}
    assert rates([]) == {}
