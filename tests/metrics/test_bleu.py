"""BLEU and chrF from summed counts against sacreBLEU over the same corpora."""

import sys

import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from auricle.errors import UserError
from auricle.metrics import BLEU, CHRF, bleu_counts, chrf_counts

few = st.lists(st.sampled_from(["the", "cat", "sat,", "on", "U.S.", "3.5", '"a', "&amp;", "mat."]), max_size=12)
sentences = few.map(" ".join) | st.text("ab .,!'\"-&;#0123é\n\t", max_size=20)
chinese = st.text("我你他们好。，的是了 Ab1.５", max_size=16)
corpora = st.lists(st.tuples(sentences, sentences), min_size=1, max_size=6)
chinese_corpora = st.lists(st.tuples(chinese, chinese), min_size=1, max_size=6)
same = few.filter(bool).map(" ".join).map(lambda text: (text, text))


def sides(pairs: list[tuple[str, str]]) -> tuple[list[str], list[list[str]]]:
    return [answer for _, answer in pairs], [[reference for reference, _ in pairs]]


def bleu(pairs: list[tuple[str, str]], tokenize: str) -> float:
    return float(BLEU.of(np.sum([bleu_counts(*pair, tokenize) for pair in pairs], axis=0)))


@given(corpora | st.lists(same | st.tuples(sentences, sentences), min_size=1, max_size=6))
def test_bleu_is_sacrebleus(pairs: list[tuple[str, str]]):
    assert bleu(pairs, "13a") == pytest.approx(sacrebleu.corpus_bleu(*sides(pairs)).score, rel=1e-12)


@given(chinese_corpora)
def test_bleu_of_chinese_is_sacrebleus(pairs: list[tuple[str, str]]):
    assert bleu(pairs, "zh") == pytest.approx(sacrebleu.corpus_bleu(*sides(pairs), tokenize="zh").score, rel=1e-12)


def test_the_tokenizers_differ():
    """A negative control: characters of Chinese are words to one of them only."""
    pair = ("我们今天去看电影。", "我们今天不看电影。")
    assert bleu([pair], "zh") > 30
    assert bleu([pair], "13a") == 0


@pytest.mark.parametrize(
    ("pairs", "smoothed"),
    [
        ([("a b c d e", "a b c d e")], False),
        ([("a b c d e", "a b c x e")], True),  # no 4-gram matches: half a match
        ([("a b c d e", "a x c y e")], True),  # nor any of 2 and 3: a half, a quarter, an eighth
        ([("a b c d e", "v w x y z")], False),
        ([("a b c d e", "")], False),
        ([("a b c", "a b c")], False),  # no 4-gram at all: 0
        ([("a b c d e f g h", "a b c d e")], False),  # too short
        ([("a b c d e", ""), ("f g h i j", "f g h i j k")], False),
    ],
)
def test_bleu_at_its_corners(pairs: list[tuple[str, str]], smoothed: bool):
    official = sacrebleu.corpus_bleu(*sides(pairs))
    assert bleu(pairs, "13a") == pytest.approx(official.score, rel=1e-12)
    plain = sacrebleu.corpus_bleu(*sides(pairs), smooth_method="none")
    assert (official.score != pytest.approx(plain.score)) == smoothed


def test_bleu_counts_by_hand():
    """Answer `a b b c`, reference `a b c c c`: bigrams `a b` and `b c` match, each word as often as both have it."""
    assert bleu_counts("a b c c c", "a b b c", "13a").tolist() == [4, 5, 3, 2, 0, 0, 4, 3, 2, 1]


def test_bleu_of_many_sums_at_once():
    pairs = [("the cat sat on the mat", "the cat sat on a mat"), ("one two three four", ""), ("x y", "p q r s t")]
    rows = np.array([bleu_counts(*pair, "13a") for pair in pairs]).reshape(3, 1, 10)
    assert BLEU.of(rows).tolist() == [[bleu([pair], "13a")] for pair in pairs]
    assert len(BLEU.columns) == rows.shape[-1]


@given(corpora | chinese_corpora)
def test_chrf_is_sacrebleus(pairs: list[tuple[str, str]]):
    counts = np.sum([chrf_counts(*pair) for pair in pairs], axis=0)
    assert float(CHRF.of(counts)) == pytest.approx(sacrebleu.corpus_chrf(*sides(pairs)).score, rel=1e-12)


def test_chrf_counts_by_hand():
    """`ab a` and `ab`, without white space: 1-grams 3 and 2, both of the answer match; one bigram of the two."""
    assert chrf_counts("ab a", "ab").tolist() == [2, 3, 2, 1, 2, 1, 0, 1, 0, *[0] * 9]
    assert len(CHRF.columns) == 18


def test_chrf_sees_half_a_word():
    pair = ("transcription", "transcribed")
    assert CHRF.of(chrf_counts(*pair)) > 40
    assert bleu([pair], "13a") == 0


def test_missing_sacrebleu_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(UserError, match=r"BLEU needs sacrebleu: install it with pip install 'auricle\[eval\]'"):
        bleu_counts("a", "a", "char")  # a tokenizer that no other test has open already


def test_missing_mecab_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sacrebleu.tokenizers.tokenizer_ja_mecab.MeCab", None)
    with pytest.raises(
        UserError, match=r"the tokenizer ja-mecab needs .*: install them with pip install 'sacrebleu\[ja\]'"
    ):
        bleu_counts("犬", "犬", "ja-mecab")
