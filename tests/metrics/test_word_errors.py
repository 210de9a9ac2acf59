"""Word edits against a naive dynamic program and jiwer; corpus rates and their intervals."""

import subprocess
import sys

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.errors import UserError
from auricle.metrics import Edits, bootstrap, error_rate, word_edits

sentences = st.lists(st.sampled_from(["a", "b", "c", "dog", "Dog", "dog."]), max_size=8).map(" ".join)


def edits_by_table(reference: list[str], hypothesis: list[str]) -> int:
    table = [[row + column for column in range(len(hypothesis) + 1)] for row in range(len(reference) + 1)]
    for row, said in enumerate(reference, start=1):
        for column, heard in enumerate(hypothesis, start=1):
            table[row][column] = min(
                table[row - 1][column] + 1,
                table[row][column - 1] + 1,
                table[row - 1][column - 1] + (said != heard),
            )
    return table[-1][-1]


@given(sentences, sentences)
def test_edits_are_the_shortest_way(reference: str, hypothesis: str):
    edits = word_edits(reference, hypothesis)
    assert edits.num_edits == edits_by_table(reference.split(), hypothesis.split())
    assert edits.num_words == len(reference.split())


@given(st.lists(st.tuples(sentences.filter(str.strip), sentences), min_size=1, max_size=6))
def test_corpus_rate_is_jiwers(pairs: list[tuple[str, str]]):
    rate = error_rate([word_edits(reference, hypothesis) for reference, hypothesis in pairs])
    assert rate == pytest.approx(jiwer.wer([pair[0] for pair in pairs], [pair[1] for pair in pairs]))


@pytest.mark.parametrize(
    ("reference", "hypothesis", "edits"),
    [
        ("the cat sat", "the cat sat", (0, 3)),
        ("the cat sat", "the bat sat", (1, 3)),
        ("the cat sat", "the sat", (1, 3)),
        ("the cat sat", "", (3, 3)),
        ("", "two words", (2, 0)),
        ("  the\tcat \n", "the cat", (0, 2)),
    ],
)
def test_edits_by_hand(reference: str, hypothesis: str, edits: tuple[int, int]):
    assert word_edits(reference, hypothesis) == Edits(*edits)


def test_long_utterances_weigh_more():
    """All edits over all words: 2 of 12, not the mean of 1/2 and 1/10."""
    assert error_rate([Edits(1, 2), Edits(1, 10)]) == pytest.approx(2 / 12)


def test_insertions_may_pass_one():
    assert error_rate([Edits(5, 2)]) == 2.5


@pytest.mark.parametrize("edits", [[], [Edits(3, 0)]])
def test_no_rate_without_a_reference_word(edits: list[Edits]):
    with pytest.raises(ValueError, match=rf"error rate of {len(edits)} references without a word"):
        error_rate(edits)


utterances = st.lists(st.builds(Edits, st.integers(0, 4), st.integers(1, 9)), min_size=1, max_size=30)


@given(edits=utterances)
def test_interval_is_repeatable_and_in_order(edits: list[Edits]):
    interval = bootstrap(edits, num_resamples=200)
    assert interval == bootstrap(edits, num_resamples=200)
    assert interval.rate == error_rate(edits)
    assert interval.low <= interval.high
    single = [edit.num_edits / edit.num_words for edit in edits]
    assert min(single) <= interval.low
    assert interval.high <= max(single)


def corpus(size: int) -> list[Edits]:
    return [Edits(index % 3, 4 + index % 5) for index in range(size)]


def test_interval_holds_the_rate_and_narrows_with_more_data():
    few, many = bootstrap(corpus(15)), bootstrap(corpus(1500))
    for interval in (few, many):
        assert interval.low < interval.rate < interval.high
    assert (many.high - many.low) < (few.high - few.low) / 5


def test_equal_utterances_leave_nothing_to_chance():
    interval = bootstrap([Edits(1, 4)] * 20)
    assert interval.low == interval.high == interval.rate == 0.25


def test_another_seed_moves_the_interval_a_little():
    one, other = bootstrap(corpus(100), seed=1), bootstrap(corpus(100), seed=2)
    assert one != other
    assert one.low == pytest.approx(other.low, rel=0.05)


def test_interval_is_the_95_percent_one():
    """Of a rate whose spread is known: 200 utterances of one word, half of them wrong, sd 0.5 / sqrt(200)."""
    interval = bootstrap([Edits(0, 1), Edits(1, 1)] * 100)
    assert (interval.high - interval.low) / 2 == pytest.approx(1.96 * 0.5 / 200**0.5, rel=0.1)


def test_missing_rapidfuzz_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "rapidfuzz", None)
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    with pytest.raises(UserError, match=r"error rates need rapidfuzz: install it with pip install 'auricle\[eval\]'"):
        word_edits("a", "a")


def test_the_room_loads_neither_torch_nor_rapidfuzz():
    code = "import sys, auricle.metrics; sys.exit(' '.join({'torch', 'rapidfuzz'} & sys.modules.keys()) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
