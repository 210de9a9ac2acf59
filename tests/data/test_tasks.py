"""Names of tasks, what a record of each must say, and the default mixture."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from auricle.assistant.languages import language_name
from auricle.data import Labelled, Recording
from auricle.data.tasks import FAMILY_HOURS, TASKS, TRANSLATION_LANGUAGES, check, default_weights, task_named
from auricle.errors import UserError

ASR = Labelled("a.jsonl:3", "x", "libri", (Recording(Path("x.wav")),), "asr", "hello", "en")
TRANSLATION = replace(ASR, task="translation", target="Hallo", target_language="de")


@pytest.mark.parametrize(
    ("name", "task"),
    [("asr", "asr"), ("s2tt", "translation"), ("aac", "captioning"), ("ser", "emotion"), ("vsc", "vocal_sound")],
)
def test_the_names_that_papers_use(name: str, task: str):
    assert task_named(name).name == task


def test_no_name_means_two_tasks():
    names = [name for task in TASKS for name in (task.name, *task.also)]
    assert len(names) == len(set(names))


def test_every_task_of_the_brief_is_there():
    asked = (
        "asr translation captioning emotion vocal_sound voice_activity speaker_identity language_identification music"
    )
    assert set(asked.split()) <= {task.name for task in TASKS}
    assert {task.name for task in TASKS if task.tagged} == {"asr", "translation"}


def test_seven_languages_under_the_names_that_the_assistant_asks_with():
    assert len(TRANSLATION_LANGUAGES) == 7
    assert all(language_name(code) == name for code, name in TRANSLATION_LANGUAGES.items())


def test_an_unknown_task_names_the_nearest():
    with pytest.raises(UserError, match=r"unknown task 'emotoin': expected one of asr, .*; did you mean emotion"):
        task_named("emotoin")
    with pytest.raises(UserError, match=r"unknown task 'xyzzy': .*; give one of them"):
        task_named("xyzzy")


def test_good_records_pass():
    for record in (ASR, TRANSLATION, replace(ASR, target=""), replace(TRANSLATION, target_language="Russian")):
        assert check(record).name == record.task
    assert check(replace(ASR, task="vad", target="no speech")).name == "voice_activity"


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (replace(ASR, recordings=()), "a.jsonl:3: no recording, expected at least one; name it in the line"),
        (
            replace(ASR, task="emotion", target=" "),
            "the target of emotion is empty; give what should be answered",
        ),
        (
            replace(ASR, task="voice_activity", target="yes"),
            "the target of voice_activity is 'yes', expected speech or no speech; rename the label",
        ),
        (replace(ASR, language="en-US"), "language 'en-US', expected an ISO 639 code such as en or yue"),
        (replace(ASR, language="English"), "language 'English', expected an ISO 639 code"),
        (
            replace(TRANSLATION, target_language=None),
            "translation without target_language; say which language the target is in",
        ),
        (
            replace(TRANSLATION, target_language="ru"),
            "target_language 'ru' has no name in prompts; expected one of zh, en, de, fr, es, it, ja, or write the",
        ),
        (replace(TRANSLATION, target_language="<|de|>"), "has no name in prompts"),
    ],
)
def test_a_record_that_lacks_something_says_what(record: Labelled, sentence: str):
    with pytest.raises(UserError) as caught:
        check(record)
    assert sentence in str(caught.value)
    assert "a.jsonl:3" in str(caught.value)


def test_the_default_mixture_is_the_briefs():
    assert sum(FAMILY_HOURS.values()) == 520_000
    sources = {"a": ("asr", 30.0), "b": ("emotion", 10.0), "c": ("captioning", 1.0), "d": ("music", 7.0)}
    weights = default_weights(sources)
    total = sum(weights.values())
    assert math.isclose((weights["a"] + weights["b"]) / total, 0.712, abs_tol=5e-4)
    assert math.isclose(weights["c"] / total, 0.019, abs_tol=5e-4)
    assert math.isclose(weights["d"] / total, 0.269, abs_tol=5e-4)
    assert math.isclose(weights["a"], 3 * weights["b"])


def test_a_family_without_hours_is_refused():
    with pytest.raises(UserError, match="the sources of music have 0 hours; expected more than 0, or give the weights"):
        default_weights({"a": ("asr", 1.0), "m": ("music", 0.0)})
