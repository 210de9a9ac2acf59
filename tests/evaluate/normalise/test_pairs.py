"""Hand-made pairs: what the official mode makes of a reference and an answer, and what that costs.

`pairs/LANGUAGE.tsv`: each expected text was worked out from the rule that its last column names, not taken from the
code. Spaces part its units: words, or characters of zh and yue. `\\n`, `\\t` and `\\uXXXX` stand for characters that an
editor would not show.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from rapidfuzz.distance import Levenshtein

from auricle.evaluate.normalise import Official
from auricle.evaluate.sample import Sample

PAIRS = Path(__file__).with_name("pairs")
ESCAPED = re.compile(r"\\(?:u([0-9a-f]{4})|([nt]))")


@dataclass(frozen=True)
class Made:
    language: str
    reference: str
    answer: str
    normalised_reference: str
    normalised_answer: str
    edits: str
    words: str
    rule: str


def shown(text: str) -> str:
    return ESCAPED.sub(lambda match: chr(int(match[1], 16)) if match[1] else {"n": "\n", "t": "\t"}[match[2]], text)


def read(path: Path) -> list[Made]:
    lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    return [Made(path.stem, *map(shown, line.split("\t"))) for line in lines[1:]]


MADE = {path.stem: read(path) for path in sorted(PAIRS.glob("*.tsv"))}


def cases() -> list[object]:
    return [
        pytest.param(made, id=f"{language}-{number}")
        for language, rows in MADE.items()
        for number, made in enumerate(rows, start=2)  # the line of the file
    ]


@pytest.mark.parametrize("made", cases())
def test_text_and_score_follow_the_rule(made: Made):
    sample = Sample("1", "made", "made", "asr", Path("made.wav"), "", made.reference, language=made.language)
    pair = Official().words(sample, made.answer)
    texts = " ".join(pair.reference), " ".join(pair.answer)
    edits = Levenshtein.distance(pair.reference, pair.answer)
    assert texts == (made.normalised_reference, made.normalised_answer), made.rule
    assert edits / len(pair.reference) == int(made.edits) / int(made.words), made.rule
    assert (edits, len(pair.reference)) == (int(made.edits), int(made.words)), made.rule


def test_every_language_has_forty_different_pairs_that_name_their_rule():
    assert sorted(MADE) == ["de", "en", "es", "fr", "it", "ru", "yue", "zh"]
    for made in MADE.values():
        assert len({(one.reference, one.answer) for one in made}) == len(made) >= 40
        assert all(len(one.rule.split()) > 1 for one in made)


@pytest.mark.parametrize("language", sorted(MADE))
def test_some_pairs_cost_something_and_some_do_not(language: str):
    assert {int(made.edits) > 0 for made in MADE[language]} == {True, False}
