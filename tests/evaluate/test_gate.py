"""--fail-if: what is a condition, whom it concerns, when it is met."""

import math
from dataclasses import replace

import pytest

from auricle.errors import UserError
from auricle.evaluate.gate import parse_condition, violations
from auricle.evaluate.published import Row
from auricle.evaluate.scores import Comparison, Figure, RowScores
from auricle.metrics.counts import Interval


def row(name: str, figure: str, value: float, *comparisons: Comparison) -> RowScores:
    figures = (Figure(figure, Interval(value, value, value, 9), primary=True),)
    return RowScores(name, "official", 9, 9.0, figures, (), "speaker", comparisons=comparisons)


def against(difference: float, p_value: float, figure: str = "wer", num_samples: int = 9) -> Comparison:
    return Comparison("before", figure, num_samples, Interval(difference, difference, difference, 9), p_value)


@pytest.mark.parametrize(
    ("text", "value", "met"),
    [
        ("wer>5", 0.0501, True),
        ("wer>5", 0.05, False),
        ("wer>=5", 0.05, True),
        ("wer > 5 %", 0.0501, True),
        ("clean.wer>5", 0.06, True),
        ("cle*.wer>5", 0.06, True),
        ("wer<5", 0.049, True),
        ("wer<=5", 0.051, False),
        ("wer>5", math.nan, True),  # what cannot be known does not pass
    ],
)
def test_an_error_rate_is_in_percent(text: str, value: float, met: bool) -> None:
    found = violations([parse_condition(text)], [row("clean", "wer", value)])
    assert len(found) == met
    assert all("clean" in sentence and text.strip() in sentence for sentence in found)


def test_an_accuracy_is_a_fraction_unless_it_has_the_sign() -> None:
    scores = [row("meld", "accuracy", 0.54)]
    assert violations([parse_condition("accuracy<0.55")], scores)
    assert violations([parse_condition("accuracy<55%")], scores)
    assert not violations([parse_condition("accuracy<0.53")], scores)
    assert violations([parse_condition("bleu<25")], [row("covost2_en_zh", "bleu", 24.9)])


def test_only_the_rows_named_are_concerned() -> None:
    scores = [row("test_clean", "wer", 0.02), row("test_other", "wer", 0.08)]
    assert violations([parse_condition("*_clean.wer>5")], scores) == []
    assert len(violations([parse_condition("wer>1"), parse_condition("test_other.wer>5")], scores)) == 3


def test_worse_than_another_run_means_surely_worse() -> None:
    condition = parse_condition("wer>other")
    worse, unsure, better = against(0.02, 0.01), against(0.02, 0.2), against(-0.02, 0.01)
    assert len(violations([condition], [row("a", "wer", 0.1, worse)])) == 1
    assert violations([condition], [row("a", "wer", 0.1, unsure), row("b", "wer", 0.1, better)]) == []
    assert len(violations([parse_condition("wer<other")], [row("b", "wer", 0.1, better)])) == 1
    with pytest.raises(UserError, match="compares a with another run, which has no wer"):
        violations([condition], [row("a", "wer", 0.1, against(0.1, 0.0, "cer"))])


def test_a_difference_counts_as_in_the_report_corrected_for_all_rows() -> None:
    condition = parse_condition("a.wer>other")
    worse, others = row("a", "wer", 0.1, against(0.02, 0.02)), [row(name, "wer", 0.1, against(0, 0.9)) for name in "bc"]
    assert len(violations([condition], [worse])) == 1
    assert violations([condition], [worse, *others]) == []  # 0.06 once corrected for three
    surely = row("a", "wer", 0.1, against(0.02, 0.01))
    [sentence] = violations([condition], [surely, *others])
    assert "p = 0.03 (Holm)" in sentence


@pytest.mark.parametrize(
    ("comparison", "why"),
    [
        (against(math.nan, math.nan), "the difference from before is undefined"),
        (against(0.0, math.nan), "the difference from before is undefined"),
        (against(math.nan, 0.5), "the difference from before is undefined"),
        (against(-0.02, 0.9, num_samples=8), "only 8 of its 9 samples are in before too"),
    ],
)
def test_a_comparison_that_says_nothing_does_not_pass(comparison: Comparison, why: str) -> None:
    found = violations([parse_condition("wer>other")], [row("a", "wer", 0.1, comparison)])
    assert found == [f"a: {why}, so 'wer>other' cannot be ruled out"]


@pytest.mark.parametrize("text", ["wer>5", "wer>other", "a.wer>5", "cer>5"])
def test_a_row_with_answers_missing_does_not_pass(text: str) -> None:
    part = replace(row("a", "wer", 0.01, against(-0.02, 0.01)), num_missing=3)
    found = violations([parse_condition(text)], [part])
    assert found == [f"a: 3 of 12 samples have no answer yet, so {text!r} cannot be ruled out"]
    assert violations([parse_condition("b.wer>5")], [part, row("b", "wer", 0.01)]) == []  # not its row


def test_a_row_without_any_score_does_not_pass() -> None:
    chats = Row("airbench_speech", "airbench", ("speech_QA",), "judge")
    scores = [row("a", "wer", 0.01)]
    sentence = "airbench_speech: no sample has its judgement yet, so 'judge<6' cannot be ruled out"
    assert violations([parse_condition("judge<6")], scores, [chats]) == [sentence]
    assert violations([parse_condition("wer>5")], scores, [chats]) == []
    with pytest.raises(UserError, match="concerns no row"):
        violations([parse_condition("b*.judge<6")], scores, [chats])
    part = replace(row("airbench_speech", "judge", 9), num_missing=1)
    assert "1 of 10 samples have no judgement yet" in violations([parse_condition("judge<6")], [part])[0]


@pytest.mark.parametrize("text", ["wer", "wer=5", "wer>", ">5", "wer>five", "wer>5 and more", "a b.wer>5"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is no condition: expected one such as"):
        parse_condition(text)


def test_a_condition_that_could_never_fail_is_refused() -> None:
    with pytest.raises(UserError, match=r"concerns no row: expected one of clean\.wer"):
        violations([parse_condition("celan.wer>5")], [row("clean", "wer", 0.9)])
