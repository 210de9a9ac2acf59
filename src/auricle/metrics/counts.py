"""A metric of a corpus as a function of sums: what resampling, pooling and slices all need."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric that needs no more of a corpus than sums of what is counted in each sample.

    Word error rate needs edits and reference words, BLEU its n-gram matches and lengths, accuracy the right ones and
    all: the metric of any part of a corpus, or of a resampled one, follows from sums of rows.

    name: as reports print it. columns: what is counted in a sample, never negative. of: sums float64 [..., columns] ->
    value [...]; NaN where the metric is undefined (no reference word at all). bounds: the least and the greatest value
    there can be.
    """

    name: str
    columns: tuple[str, ...]
    of: Callable[[np.ndarray], np.ndarray]
    bounds: tuple[float, float] = (-math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % interval. num_clusters: how many independent units were resampled.

    low and high are NaN where nothing can be said: fewer than two units, or a metric that is not defined.
    """

    value: float
    low: float
    high: float
    num_clusters: int


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """One by the other, element by element; NaN where the denominator is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator == 0, np.nan, np.divide(numerator, denominator))
