"""chrF2 of a corpus from counts of its samples (Popović 2015), equal to sacreBLEU's `corpus_chrf` with one reference.

Character 1- to 6-grams without white space, recall weighs twice as much as precision, orders that neither side has are
left out. No official script reports it; ours stands beside BLEU, which sees nothing of a word that is half right.
"""

from collections import Counter

import numpy as np

from auricle.metrics.counts import Measure, ratio

_ORDERS = range(1, 7)
_BETA = 2


def _chrf(sums: np.ndarray) -> np.ndarray:
    answer, reference, matches = (sums[..., first::3] for first in range(3))
    counted = (answer > 0) & (reference > 0)
    num_orders = counted.sum(axis=-1)
    precision = np.nan_to_num(
        ratio(np.where(counted, np.nan_to_num(ratio(matches, answer)), 0).sum(axis=-1), num_orders)
    )
    recall = np.nan_to_num(
        ratio(np.where(counted, np.nan_to_num(ratio(matches, reference)), 0).sum(axis=-1), num_orders)
    )
    score = ratio((1 + _BETA**2) * precision * recall, _BETA**2 * precision + recall)
    return 100 * np.nan_to_num(score)


CHRF = Measure(
    "chrf",
    tuple(f"{what}_{order}" for order in _ORDERS for what in ("answer", "reference", "matches")),
    _chrf,
    bounds=(0.0, 100.0),
)


def chrf_counts(reference: str, answer: str) -> np.ndarray:
    """Int [18]: for 1- to 6-grams of characters those of the answer, of the reference, and matches."""
    said, wanted = ("".join(text.split()) for text in (answer, reference))
    counts = []
    for order in _ORDERS:
        heard, known = (
            Counter(text[at : at + order] for at in range(len(text) - order + 1)) for text in (said, wanted)
        )
        counts += [heard.total() if known else 0, known.total(), (heard & known).total()]
    return np.array(counts, dtype=np.int64)
