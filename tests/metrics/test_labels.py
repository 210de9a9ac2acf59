"""Accuracy and macro-F1 against their definitions, label by label."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.metrics import label_metrics

LABELS = ("joy", "anger", "fear", "none")
answers = st.lists(st.tuples(st.sampled_from(LABELS[:3]), st.sampled_from([*LABELS, None])), min_size=1, max_size=20)


def scores(pairs: list[tuple[str, str | None]]) -> tuple[float, float]:
    counts, accuracy, macro_f1 = label_metrics(*zip(*pairs, strict=True), LABELS)
    return float(accuracy.of(counts.sum(axis=0))), float(macro_f1.of(counts.sum(axis=0)))


def f1(pairs: list[tuple[str, str | None]], label: str) -> float:
    hits = sum(right == said == label for right, said in pairs)
    if not hits:
        return 0.0
    precision = hits / sum(said == label for _, said in pairs)
    recall = hits / sum(right == label for right, _ in pairs)
    return 2 * precision * recall / (precision + recall)


@given(answers)
def test_accuracy_and_macro_f1_are_their_definitions(pairs: list[tuple[str, str | None]]):
    accuracy, macro_f1 = scores(pairs)
    known = {right for right, _ in pairs}
    assert accuracy == pytest.approx(sum(right == said for right, said in pairs) / len(pairs))
    assert macro_f1 == pytest.approx(sum(f1(pairs, label) for label in known) / len(known))


def test_rare_labels_weigh_as_much_as_frequent_ones():
    accuracy, macro_f1 = scores([("joy", "joy")] * 9 + [("fear", "joy")])
    assert accuracy == pytest.approx(0.9)
    assert macro_f1 == pytest.approx((18 / 19 + 0) / 2)


def test_an_answer_that_is_no_label_is_wrong_and_no_false_alarm():
    unparsed, taken_for = [("joy", None), ("fear", "fear")], [("joy", "fear"), ("fear", "fear")]
    assert scores(unparsed) == (0.5, 0.5)
    assert scores(taken_for) == (0.5, pytest.approx((0 + 2 / 3) / 2))


def test_labels_without_samples_are_left_out():
    """Macro-F1 over the two labels there are; an answer `none` is a miss and nothing else."""
    assert scores([("joy", "joy"), ("fear", "none")]) == (0.5, 0.5)


def test_no_answers_no_rates():
    counts, accuracy, macro_f1 = label_metrics([], [], LABELS)
    assert counts.shape == (0, len(accuracy.columns))
    assert math.isnan(accuracy.of(counts.sum(axis=0)))
    assert math.isnan(macro_f1.of(counts.sum(axis=0)))


def test_what_is_not_listed_is_refused():
    with pytest.raises(ValueError, match="label 'sad' is none of"):
        label_metrics(["sad"], ["joy"], LABELS)
    with pytest.raises(ValueError, match="label 'sad' is none of"):
        label_metrics(["joy"], ["sad"], LABELS)
    with pytest.raises(ValueError, match="labels listed twice"):
        label_metrics(["joy"], ["joy"], ["joy", "joy"])
    with pytest.raises(ValueError, match="zip"):
        label_metrics(["joy", "joy"], ["joy"], LABELS)


def test_measures_agree_on_many_sums_at_once():
    counts, accuracy, macro_f1 = label_metrics(["joy", "fear"], ["joy", "anger"], LABELS)
    assert accuracy.of(counts).tolist() == [1, 0]
    assert macro_f1.of(np.stack([counts, counts]))[0].tolist() == [1, 0]
    assert len(accuracy.columns) == counts.shape[1]
