"""Whether intervals hold what they promise: simulated speakers whose metric is known exactly."""

import numpy as np
import pytest
from speaker_worlds import HARSH, NUM_SPEAKERS, WORLDS, World, coverage

from auricle.metrics import WER, paired

SKEWED = WORLDS["wer, skewed"]


def by_percentiles(world: World, trials: int) -> float:
    """How often the plain bootstrap, percentiles over resampled speakers, holds the truth."""
    covered = 0
    for trial in range(trials):
        rng = np.random.default_rng((trial, NUM_SPEAKERS))
        counts, who = world.draw(rng, NUM_SPEAKERS)
        speakers = np.stack([np.bincount(who, weights=column) for column in counts.T], axis=1)
        drawn = rng.multinomial(NUM_SPEAKERS, np.full(NUM_SPEAKERS, 1 / NUM_SPEAKERS), size=400)
        low, high = np.quantile(world.measure.of(drawn @ speakers), (0.025, 0.975))
        covered += low <= world.truth <= high
    return covered / trials


def test_60_speakers_are_covered_in_95_of_100_trials():
    assert 0.93 <= coverage(SKEWED, 1000, resamples=400) <= 0.97


def test_single_utterances_cover_far_less():
    """The negative control: the same speakers, each utterance as if it were a speaker of its own."""
    assert coverage(SKEWED, 50, clustered=False, resamples=400) < 0.7


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
def test_every_metric_is_covered(name: str):
    share = coverage(WORLDS[name], 1000, resamples=400)
    print(f"{name}: {share:.1%}")
    assert 0.93 <= share <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("name", HARSH)
def test_a_handful_of_speakers_that_decides_is_not_quite_covered(name: str):
    """Nor do percentiles: the negative control of studentising."""
    share, plain = coverage(HARSH[name], 1000, resamples=400), by_percentiles(HARSH[name], 1000)
    print(f"{name}: {share:.1%}, by percentiles {plain:.1%}")
    assert share > 0.9
    assert share > plain + 0.02


@pytest.mark.slow
@pytest.mark.parametrize("speakers", [10, 20, 200])
def test_fewer_and_more_speakers_are_covered(speakers: int):
    share = coverage(WORLDS["wer, clean"], 1000, speakers=speakers, resamples=400)
    print(f"{speakers} speakers: {share:.1%}")
    assert 0.92 <= share <= 0.97


def two_systems(trial: int, worse: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edits of two systems on the same utterances; each finds its own speakers hard, the second all, `worse` times."""
    rng = np.random.default_rng(trial)
    num = 1 + rng.geometric(1 / 10, NUM_SPEAKERS)
    who = np.repeat(np.arange(NUM_SPEAKERS), num)
    words = 1 + rng.poisson(11, len(who))
    rate = np.repeat(rng.beta(0.6, 5.4, NUM_SPEAKERS), num)
    pair = []
    for times in (1.0, worse):
        counts = np.zeros((len(who), 4), dtype=int)
        counts[:, 0] = rng.poisson(words * rate * times * np.repeat(rng.gamma(8, 1 / 8, NUM_SPEAKERS), num))
        counts[:, 3] = words
        pair.append(counts)
    return *pair, who


def share_below_5_percent(worse: float, trials: int, *, clustered: bool = True) -> float:
    found = 0
    for trial in range(trials):
        a, b, who = two_systems(trial, worse)
        _, p_value = paired(a, b, list(who.astype(str)) if clustered else None, WER, seed=trial, num_resamples=200)
        found += p_value < 0.05
    return found / trials


def test_a_difference_that_is_none_is_found_in_5_of_100_trials():
    assert 0.03 <= share_below_5_percent(1.0, 600) <= 0.07


def test_by_utterance_it_is_found_far_too_often():
    """The negative control."""
    assert share_below_5_percent(1.0, 60, clustered=False) > 0.15


def test_a_difference_is_found():
    assert share_below_5_percent(1.5, 100) > 0.75


@pytest.mark.slow
@pytest.mark.parametrize("worse", [1.0, 1.3])
def test_the_interval_of_a_difference_covers_it(worse: float):
    covered = 0
    for trial in range(1000):
        a, b, who = two_systems(trial, worse)
        found, _ = paired(a, b, list(who.astype(str)), WER, seed=trial, num_resamples=400)
        covered += found.low <= 0.1 * (1 - worse) <= found.high
    print(f"{worse} times: {covered / 1000:.1%}")
    assert 0.92 <= covered / 1000 <= 0.985
