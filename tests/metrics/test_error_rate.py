"""Edits and alignments against a naive dynamic program and jiwer; rates of a corpus."""

import math
import subprocess
import sys
from collections.abc import Sequence

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.errors import UserError
from auricle.metrics import CER, WER, alignment, edit_counts

words = st.lists(st.sampled_from(["a", "b", "c", "dog", "Dog", "dog.", "狗"]), max_size=8)


def edits_by_table(reference: Sequence[str], answer: Sequence[str]) -> int:
    table = [[row + column for column in range(len(answer) + 1)] for row in range(len(reference) + 1)]
    for row, said in enumerate(reference, start=1):
        for column, heard in enumerate(answer, start=1):
            table[row][column] = min(
                table[row - 1][column] + 1,
                table[row][column - 1] + 1,
                table[row - 1][column - 1] + (said != heard),
            )
    return table[-1][-1]


@given(words, words)
def test_edits_are_the_shortest_way(reference: list[str], answer: list[str]):
    substitutions, insertions, deletions, items = edit_counts(reference, answer)
    assert substitutions + insertions + deletions == edits_by_table(reference, answer)
    assert insertions - deletions == len(answer) - len(reference)
    assert items == len(reference)


@given(st.text("ab 狗é", max_size=10), st.text("ab 狗é", max_size=10))
def test_characters_are_items_of_a_text(reference: str, answer: str):
    assert edit_counts(reference, answer)[:3].sum() == edits_by_table(reference, answer)
    assert edit_counts(reference, answer).tolist() == edit_counts(list(reference), list(answer)).tolist()


def test_a_word_is_one_item_whatever_its_length():
    assert edit_counts(["dog"], ["doge"]).tolist() == [1, 0, 0, 1]
    assert edit_counts("dog", "doge").tolist() == [0, 1, 0, 3]


@given(st.lists(st.tuples(words.filter(bool), words), min_size=1, max_size=6))
def test_corpus_rates_are_jiwers(pairs: list[tuple[list[str], list[str]]]):
    texts = [[" ".join(side) for side in pair] for pair in pairs]
    references, answers = [reference for reference, _ in texts], [answer for _, answer in texts]
    by_word = np.sum([edit_counts(*pair) for pair in pairs], axis=0)
    by_character = np.sum([edit_counts(*pair) for pair in texts], axis=0)
    assert WER.of(by_word) == pytest.approx(jiwer.wer(references, answers))
    assert CER.of(by_character) == pytest.approx(jiwer.cer(references, answers))
    theirs = jiwer.process_words(references, answers)
    assert by_word[:3].sum() == theirs.substitutions + theirs.insertions + theirs.deletions


@pytest.mark.parametrize(
    ("reference", "answer", "counts"),
    [
        ("the cat sat", "the cat sat", [0, 0, 0, 3]),
        ("the cat sat", "the bat sat", [1, 0, 0, 3]),
        ("the cat sat", "the sat", [0, 0, 1, 3]),
        ("the cat sat", "the fat cat sat", [0, 1, 0, 3]),
        ("the cat sat", "", [0, 0, 3, 3]),
        ("", "two words", [0, 2, 0, 0]),
        ("a b c d e", "x b d e f", [1, 1, 1, 5]),
    ],
)
def test_edits_by_hand(reference: str, answer: str, counts: list[int]):
    assert edit_counts(reference.split(), answer.split()).tolist() == counts


@given(words, words)
def test_an_alignment_is_both_texts_and_the_counted_edits(reference: list[str], answer: list[str]):
    places = alignment(reference, answer)
    assert [said for _, said, _ in places if said] == reference
    assert [heard for _, _, heard in places if heard] == answer
    operations = [operation for operation, _, _ in places]
    assert edit_counts(reference, answer)[:3].tolist() == [
        operations.count(one) for one in ("replace", "insert", "delete")
    ]
    for operation, said, heard in places:
        shape = {"equal": said == heard, "replace": said != heard, "insert": not said, "delete": not heard}
        assert shape[operation]


def test_an_alignment_by_hand():
    assert alignment(["the", "cat", "sat", "down"], ["a", "cat", "sat", "right", "down", "now"]) == (
        ("replace", "the", "a"),
        ("equal", "cat", "cat"),
        ("equal", "sat", "sat"),
        ("insert", "", "right"),
        ("equal", "down", "down"),
        ("insert", "", "now"),
    )
    assert alignment(["gone"], []) == (("delete", "gone", ""),)


def test_long_utterances_weigh_more():
    """All edits over all words: 2 of 12, not the mean of 1/2 and 1/10."""
    assert WER.of(np.array([[1, 0, 0, 2], [0, 0, 1, 10]]).sum(axis=0)) == pytest.approx(2 / 12)


def test_insertions_may_pass_one():
    assert WER.of(np.array([0, 5, 0, 2])) == 2.5


@pytest.mark.parametrize("measure", [WER, CER])
def test_no_rate_without_a_reference_item(measure):
    rates = measure.of(np.array([[0, 3, 0, 0], [0, 0, 0, 0], [1, 1, 1, 6]]))
    assert math.isnan(rates[0])
    assert math.isnan(rates[1])
    assert rates[2] == 0.5


def test_columns_say_what_is_counted():
    assert WER.columns == ("substitutions", "insertions", "deletions", "reference_words")
    assert CER.columns[3] == "reference_characters"


def test_missing_rapidfuzz_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "rapidfuzz", None)
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    with pytest.raises(UserError, match=r"error rates need rapidfuzz: install it with pip install 'auricle\[eval\]'"):
        edit_counts("a", "a")


def test_the_room_loads_no_library_but_numpy():
    code = (
        "import sys, auricle.metrics; sys.exit(' '.join({'torch', 'rapidfuzz', 'sacrebleu'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
