"""A metric of a corpus as a function of sums: what resampling, pooling and slices all need."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric that needs no more of a corpus than sums of what is counted in each sample.

    Word error rate needs edits and reference words, BLEU its n-gram matches and lengths, accuracy the right ones and
    all: the metric of any part of a corpus, or of a resampled one, follows from sums of rows.

    name: as reports print it. columns: what is counted in a sample. of: sums float64 [..., columns] -> value [...];
    NaN where the metric is undefined (no reference word at all).
    """

    name: str
    columns: tuple[str, ...]
    of: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % interval. num_clusters: how many independent units were resampled."""

    value: float
    low: float
    high: float
    num_clusters: int
