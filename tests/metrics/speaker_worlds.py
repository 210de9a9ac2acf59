"""Populations of speakers whose metric is known exactly, and samples of them: what an interval must cover.

A speaker draws how much it says and how well it is understood; its utterances are then alike. The truth of a metric is
its value at the expected counts of a speaker, worked out on paper: it knows nothing of any sample.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from auricle.metrics import BLEU, WER, Measure, interval, label_metrics

NUM_SPEAKERS = 60


@dataclass(frozen=True)
class World:
    """draw: counts [utterances, columns] of so many new speakers, and the speaker of each."""

    measure: Measure
    truth: float
    draw: Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]


def coverage(
    world: World, trials: int, *, clustered: bool = True, speakers: int = NUM_SPEAKERS, resamples: int = 1000
) -> float:
    """Of that many samples, the share whose interval holds the truth."""
    covered = 0
    for trial in range(trials):
        counts, who = world.draw(np.random.default_rng((trial, speakers)), speakers)
        clusters = list(who.astype(str)) if clustered else None
        found = interval(counts, clusters, world.measure, seed=trial, num_resamples=resamples)
        assert found.num_clusters == (speakers if clustered else len(counts))
        covered += found.low <= world.truth <= found.high
    return covered / trials


def _spread(num: np.ndarray, *of_speaker: np.ndarray) -> list[np.ndarray]:
    """From speakers to utterances: who says each, and the speaker's qualities."""
    return [np.repeat(np.arange(len(num)), num), *(np.repeat(quality, num) for quality in of_speaker)]


def _wer(num_utterances: Callable, rate: Callable, truth: float) -> World:
    """Utterances of 12 words on average; num_utterances and rate draw a value for each speaker."""

    def draw(rng: np.random.Generator, speakers: int) -> tuple[np.ndarray, np.ndarray]:
        who, error_rate = _spread(num_utterances(rng, speakers), rate(rng, speakers))
        words = 1 + rng.poisson(11, len(who))
        counts = np.zeros((len(who), 4), dtype=int)
        counts[:, 0], counts[:, 3] = rng.poisson(error_rate * words), words
        return counts, who

    return World(WER, truth, draw)


def _few_or_many(rng: np.random.Generator, speakers: int) -> np.ndarray:
    return 1 + rng.geometric(1 / 20, speakers)


def beta(a: float, b: float) -> Callable:
    return lambda rng, speakers: rng.beta(a, b, speakers)


def _who_speaks_more_is_worse() -> World:
    shares, nums, rates = np.array([[0.4, 0.3, 0.2, 0.1], [10, 20, 40, 80], [0.04, 0.06, 0.1, 0.25]])

    def draw(rng: np.random.Generator, speakers: int) -> tuple[np.ndarray, np.ndarray]:
        kind = rng.choice(4, speakers, p=shares)
        one = _wer(lambda *_: nums[kind].astype(int), lambda *_: rng.beta(4 * rates[kind], 4 * (1 - rates[kind])), 0)
        return one.draw(rng, speakers)

    return World(WER, float((shares * nums * rates).sum() / (shares * nums).sum()), draw)


def _from(values: list[float], shares: list[float]) -> Callable:
    return lambda rng, speakers: rng.choice(values, speakers, p=shares)


def _labels(mean_a: float, mean_b: float, which: int) -> World:
    """Five labels, unequally frequent; who is not understood gets a guess. which: 0 accuracy, 1 macro-F1."""
    names, shares, guesses = list("abcde"), np.array([0.4, 0.25, 0.15, 0.1, 0.1]), np.array([0.6, 0.1, 0.1, 0.1, 0.1])
    measures = label_metrics([], [], names)[1:]

    def draw(rng: np.random.Generator, speakers: int) -> tuple[np.ndarray, np.ndarray]:
        who, understood = _spread(_few_or_many(rng, speakers), rng.beta(mean_a, mean_b, speakers))
        right = rng.choice(5, len(who), p=shares)
        said = np.where(rng.random(len(who)) < understood, right, rng.choice(5, len(who), p=guesses))
        one = np.eye(5, dtype=int)
        return np.concatenate((one[right], one[said], one[right] * (right == said)[:, None]), axis=1), who

    known = mean_a / (mean_a + mean_b)
    right = shares * (known + (1 - known) * guesses)
    expected = np.concatenate((shares, known * shares + (1 - known) * guesses, right))
    return World(measures[which], float(measures[which].of(expected)), draw)


def _bleu(a: float, b: float) -> World:
    """A speaker's quality q matches words with q, longer n-grams with higher powers; answers are a word too short."""
    powers = np.array([1.0, 1.8, 2.6, 3.4])

    def draw(rng: np.random.Generator, speakers: int) -> tuple[np.ndarray, np.ndarray]:
        who, quality = _spread(_few_or_many(rng, speakers), rng.beta(a, b, speakers))
        lengths, reference = 4 + rng.poisson(10, len(who)), 4 + rng.poisson(11, len(who))
        totals = lengths[:, None] - np.arange(4)
        matches = rng.binomial(totals, quality[:, None] ** powers)
        return np.concatenate((lengths[:, None], reference[:, None], matches, totals), axis=1), who

    def moment(power: float) -> float:
        return math.exp(math.lgamma(a + power) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(a + b + power))

    totals = 14 - np.arange(4)
    expected = np.array([14, 15, *(totals * [moment(power) for power in powers]), *totals])
    return World(BLEU, float(BLEU.of(expected)), draw)


WORLDS = {
    "wer, alike and evenly": _wer(lambda rng, speakers: np.full(speakers, 20), beta(2, 18), 0.1),
    "wer, clean": _wer(lambda rng, speakers: rng.integers(20, 60, speakers), beta(1, 59), 1 / 60),
    "wer, skewed": _wer(_few_or_many, beta(0.6, 5.4), 0.1),
    "wer, who speaks more is worse": _who_speaks_more_is_worse(),
    "accuracy, middling": _labels(3, 2, 0),
    "accuracy, high": _labels(9, 0.6, 0),
    "macro-F1": _labels(4, 2, 1),
    "bleu": _bleu(6, 4),
}
HARSH = {  # a handful of the 60 decides
    "wer, every tenth is hardly understood": _wer(_few_or_many, _from([0.04, 0.1, 0.4], [0.7, 0.2, 0.1]), 0.088),
    "wer, twice lognormal": _wer(
        lambda rng, speakers: np.ceil(np.exp(rng.normal(2.5, 1.0, speakers))).astype(int),
        lambda rng, speakers: np.exp(rng.normal(math.log(0.05), 0.9, speakers)),
        0.05 * math.exp(0.9**2 / 2),
    ),
}
