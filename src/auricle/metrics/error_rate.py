"""Word error rate over a corpus, and how far chance alone could move it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from auricle.errors import UserError


@dataclass(frozen=True, slots=True)
class Edits:
    """Word edits that turn one reference into its hypothesis, and how many words the reference has."""

    num_edits: int
    num_words: int


@dataclass(frozen=True, slots=True)
class Interval:
    """A rate with the 95 % interval of its bootstrap."""

    rate: float
    low: float
    high: float


def word_edits(reference: str, hypothesis: str) -> Edits:
    """Substitutions, insertions and deletions between the white-space separated words of two texts.

    Raises:
        UserError: rapidfuzz is not installed.
    """
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError as error:
        raise UserError("error rates need rapidfuzz: install it with pip install 'auricle[eval]'") from error
    words = reference.split()
    return Edits(Levenshtein.distance(words, hypothesis.split()), len(words))


def error_rate(edits: Sequence[Edits]) -> float:
    """All edits over all reference words (corpus level, as the official scripts count it).

    Raises:
        ValueError: no reference has a word.
    """
    num_words = sum(edit.num_words for edit in edits)
    if not num_words:
        raise ValueError(f"error rate of {len(edits)} references without a word")
    return sum(edit.num_edits for edit in edits) / num_words


def bootstrap(edits: Sequence[Edits], *, num_resamples: int = 2000, seed: int = 0) -> Interval:
    """The error rate with its 95 % percentile interval over resampled utterances."""
    rng = np.random.default_rng(seed)
    counts = np.array([(edit.num_edits, edit.num_words) for edit in edits])
    chosen = rng.integers(len(edits), size=(num_resamples, len(edits)))
    sums = counts[chosen].sum(axis=1)
    rates = sums[:, 0] / np.maximum(sums[:, 1], 1)
    low, high = np.quantile(rates, (0.025, 0.975))
    return Interval(error_rate(edits), float(low), float(high))
