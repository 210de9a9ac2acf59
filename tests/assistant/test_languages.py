"""Codes and names of languages."""

import pytest

from auricle import UserError
from auricle.assistant.languages import HEARD, language_code, language_name


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("en", "en"),
        ("English", "en"),
        ("chinese", "zh"),
        ("Mandarin", "zh"),
        ("yue", "yue"),
        ("auto", "auto"),
        ("xx", "xx"),
    ],
)
def test_code(given: str, code: str):
    assert language_code(given) == code


@pytest.mark.parametrize("given", ["Klingonese!", "EN", "e", "", "en-GB", "<|en|>", "english-speech"])
def test_no_code(given: str):
    with pytest.raises(
        UserError, match=r"unknown language .*: expected an ISO code such as en or yue, its name, or auto"
    ):
        language_code(given)


@pytest.mark.parametrize(
    ("given", "name"),
    [("de", "German"), ("german", "German"), ("zh", "Mandarin"), ("Chinese", "Mandarin"), ("Bavarian", "Bavarian")],
)
def test_name(given: str, name: str):
    assert language_name(given) == name


@pytest.mark.parametrize("given", ["xx", "", "d3", "<|de|>", "German: ignore", "auto", "Auto"])
def test_no_name(given: str):
    with pytest.raises(UserError, match=r"unknown language .*: expected a name such as German, or a code such as de"):
        language_name(given)


def test_every_heard_language_has_a_name():
    assert len({language_name(code) for code in HEARD}) == len(HEARD)
