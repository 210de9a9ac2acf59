"""Accuracy and macro-F1 of answers out of a closed list of labels.

An answer that is none of the labels is None here: it is wrong, and no label's false alarm.
"""

from collections.abc import Sequence

import numpy as np

from auricle.metrics.counts import Measure, ratio


def label_metrics(
    right: Sequence[str], said: Sequence[str | None], labels: Sequence[str]
) -> tuple[np.ndarray, Measure, Measure]:
    """What is counted of each answer, int [answers, 3 * labels], and accuracy and macro-F1 as functions of its sums.

    Macro-F1 is the mean over the labels that have samples, as scikit-learn's with the labels of the references. Labels
    without samples are no part of it, though an answer that names one is wrong.

    Raises:
        ValueError: a label that is not listed, one listed twice, or another number of answers.
    """
    places = _places(labels)
    columns = tuple(f"{what} {label}" for what in ("samples", "answers", "right") for label in labels)
    counts = np.zeros((len(right), 3, len(labels)), dtype=np.int64)
    for row, (wanted, answer) in enumerate(zip(right, said, strict=True)):
        counts[row, 0, _place(places, wanted)] = 1
        if answer is not None:
            counts[row, 1, _place(places, answer)] = 1
            counts[row, 2, places[wanted]] = wanted == answer
    accuracy = Measure("accuracy", columns, _accuracy, bounds=(0.0, 1.0))
    macro_f1 = Measure("macro_f1", columns, _macro_f1, bounds=(0.0, 1.0))
    return counts.reshape(len(right), len(columns)), accuracy, macro_f1


def _places(labels: Sequence[str]) -> dict[str, int]:
    places = {label: place for place, label in enumerate(labels)}
    if len(places) < len(labels):
        raise ValueError(f"labels listed twice: {list(labels)}")
    return places


def _place(places: dict[str, int], label: str) -> int:
    if label not in places:
        raise ValueError(f"label {label!r} is none of {list(places)}")
    return places[label]


def _by_kind(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    samples, answers, right = np.split(sums, 3, axis=-1)
    return samples, answers, right


def _accuracy(sums: np.ndarray) -> np.ndarray:
    samples, _, right = _by_kind(sums)
    return ratio(right.sum(axis=-1), samples.sum(axis=-1))


def _macro_f1(sums: np.ndarray) -> np.ndarray:
    samples, answers, right = _by_kind(sums)
    known = samples > 0
    f1 = np.where(known, np.nan_to_num(ratio(2 * right, samples + answers)), 0)
    return ratio(f1.sum(axis=-1), known.sum(axis=-1))
