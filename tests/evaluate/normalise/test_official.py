"""The published steps one by one, and the slips that they hold; whole texts stand in pairs/*.tsv."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from auricle.errors import UserError
from auricle.evaluate.normalise import Official, Strict, open_mode, whisper
from auricle.evaluate.normalise.markup import remove_markup
from auricle.evaluate.normalise.official import official_tokens
from auricle.evaluate.normalise.tokens import tokens
from auricle.evaluate.normalise.whisper import basic, english
from auricle.evaluate.sample import Sample, Task

LABELS = ("neutral", "joy", "Throat clearing")


def sample(reference: str, task: Task = "asr", language: str | None = "en", labels: tuple[str, ...] = ()) -> Sample:
    return Sample("1", "made", "made", task, Path("made.wav"), "", reference, language=language, labels=labels)


def test_english_goes_through_both_normalisers():
    """The published `if en ... if zh ... else`: with Whisper's English one alone both of these would cost a word."""
    once, twice = english("ten dollars or 5%").split(), official_tokens("ten dollars or 5%", "en")
    assert once == ["$10", "or", "5%"]
    assert twice == ("10", "or", "5")
    answer = "10 or 5"
    assert Levenshtein.distance(once, english(answer).split()) == 2
    assert Levenshtein.distance(twice, official_tokens(answer, "en")) == 0


def test_english_does_not_go_through_basic_alone():
    assert basic("He's").split() == ["he", "s"]
    assert official_tokens("He's", "en") == ("he", "is")


@pytest.mark.parametrize("language", ["fr", "de", "ja", "sw", None])
def test_every_other_language_goes_through_basic_alone(language: str | None):
    assert official_tokens("L'homme, Mr. O'Neil: ten $5", language) == ("l", "homme", "mr", "o", "neil", "ten", "5")


def test_an_elision_is_two_words_of_french_and_one_of_strict():
    french = sample("l'homme dort", language="fr")
    assert Official().words(french, "l'homme").reference == ("l", "homme", "dort")
    assert Strict.for_samples([french]).words(french, "l'homme").reference == ("l'homme", "dort")


def test_mandarin_loses_its_spaces_before_its_normaliser_and_cantonese_only_in_the_end():
    assert remove_markup("<|zh|>你 好 3 5", "zh") == "你好35"
    assert remove_markup("<|yue|>你 好 3 5", "yue") == "你 好 3 5"
    assert official_tokens("你 好 3 5", "zh") == tuple("你好三十五")  # 3 and 5 became one number
    assert official_tokens("你 好 3 5", "yue") == tuple("你好35")
    assert official_tokens("你 好", "ja") == ("你", "好")


def test_chinese_is_compared_by_character_and_its_latin_letters_too():
    assert official_tokens("我用WiFi", "zh") == ("我", "用", "w", "i", "f", "i")
    assert official_tokens("我用WiFi", "yue") == ("我", "用", "w", "i", "f", "i")


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a<|b|><|c|>d", "a d"),
        ("<|a\nb|>", "<|a b|>"),  # a tag does not run over a line
        ("a\u00a0\u3000\n b", "a b"),
        ("a ! b , c . d ? e ; f : g", "a! b, c. d? e; f: g"),
        ("a  !", "a!"),
        ("a ) b ' c", "a ) b ' c"),  # the six marks only
        (" . a ", ". a "),  # the space before the point goes, the one at the end stays
    ],
)
def test_markup(text: str, clean: str):
    assert remove_markup(text, "en") == clean


@pytest.mark.parametrize(
    ("text", "language", "left"),
    [
        ("A -- b ... «» c!", "en", ("a", "b", "c!")),  # marks go where they stand alone
        ("+ $ 5", "en", ("+", "$", "5")),  # symbols are no punctuation
        ("  a   b ", "en", ("a", "b")),
        ("Ab ， c", "zh", ("a", "b", "c")),
        ("Ab ， c", "yue", ("a", "b", "c")),
        ("", "en", ()),
    ],
)
def test_tokens(text: str, language: str, left: tuple[str, ...]):
    assert tokens(text, language) == left


@given(st.text(), st.sampled_from(["en", "fr", "zh", "yue", "ru", None]))
def test_no_answer_breaks_it(text: str, language: str | None):
    found = official_tokens(text, language)
    assert all(unit and not unit.isspace() for unit in found)
    if language in ("zh", "yue"):
        assert all(len(unit) == 1 for unit in found)


@given(st.text())
def test_translations_stay_as_they_are(text: str):
    assert Official().translation(sample(text, "translation"), f" {text}<|de|> ") == (text, f" {text}<|de|> ")


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("neutral", "neutral"),
        (" \n neutral", "neutral"),  # lstrip
        ("neutral ", None),  # and no rstrip
        ("Neutral", None),
        ("neutral.", None),
        ("joy", "joy"),  # another label, wrong but parsed
        ("throat clearing", None),
        ("Throat clearing", "Throat clearing"),
        ("sad", None),
        ("", None),
    ],
)
def test_a_label_is_the_whole_answer(answer: str, label: str | None):
    assert Official().label(sample("neutral", "emotion", labels=LABELS), answer) == label


def test_a_reference_is_a_label_where_none_are_listed():
    assert Official().label(sample("neutral", "emotion"), "neutral") == "neutral"
    assert Official().label(sample("neutral", "emotion"), "joy") is None


def test_modes_by_name():
    samples = [sample("a b")]
    assert open_mode("official", samples).name == "official"
    assert open_mode("strict", iter(samples)).words(samples[0], "a").answer == ("a",)
    with pytest.raises(UserError, match="no scoring mode 'loose': expected official or strict"):
        open_mode("loose", samples)


@pytest.mark.parametrize(("module", "language"), [("english", "en"), ("basic", "fr")])
def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, module: str, language: str):
    monkeypatch.setitem(sys.modules, f"whisper_normalizer.{module}", None)
    for cached in (whisper._english_normaliser, whisper._basic_normaliser):
        cached.cache_clear()
    with pytest.raises(UserError, match="scoring needs whisper-normalizer: install it with pip install 'auricle"):
        official_tokens("a", language)
