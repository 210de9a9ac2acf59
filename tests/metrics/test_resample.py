"""Intervals and tests against naive versions of themselves, and where there is little or nothing to resample."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.metrics import BLEU, WER, Interval, Measure, bleu_counts, holm, interval, paired, resample

rows = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9)), min_size=1, max_size=30)


def edits(pairs: list[tuple[int, int]]) -> np.ndarray:
    """Int [utterances, 4] of (substitutions, reference words)."""
    return np.array([(num, 0, 0, words) for num, words in pairs])


def corpus(size: int) -> np.ndarray:
    return edits([(index % 3, 4 + index % 5) for index in range(size)])


def naive(counts: np.ndarray, seed: int, num_resamples: int) -> tuple[float, float]:
    """The bootstrap-t of a ratio of sums, one resample after another, with the derivatives worked out on paper."""
    wrong, words = counts[:, 0].astype(float), counts[:, 3].astype(float)
    size, rate = len(counts), wrong.sum() / words.sum()
    without = [(wrong.sum() - wrong[one]) / (words.sum() - words[one]) for one in range(size)]
    error = math.sqrt((size - 1) / size * sum((each - np.mean(without)) ** 2 for each in without))
    distances = []
    for drawn in np.random.default_rng(seed).integers(size, size=(num_resamples, size)):
        if not words[drawn].any():
            continue
        its_rate = wrong[drawn].sum() / words[drawn].sum()
        residuals = (wrong[drawn] - its_rate * words[drawn]) / words[drawn].sum()
        its_error = math.sqrt(size / (size - 1) * (residuals**2).sum())
        distances.append((its_rate - rate) / max(its_error, error / 4))
    distances.sort()
    rank = int((len(distances) + 1) * 0.025)
    return max(0.0, rate - distances[-rank] * error), rate - distances[rank - 1] * error


GIANT = edits([(20_000, 100_000), *[(index % 2, 1 + index % 3) for index in range(30)]])
SILENT = edits([(1, 4), (2, 4)] + [(0, 0)] * 10)  # e^-2 of the resamples have no reference word: left out


@pytest.mark.parametrize("counts", [corpus(5), corpus(13), corpus(40), GIANT, SILENT])
@pytest.mark.parametrize("at_once", [10_000_000, 100])
def test_an_interval_is_the_naive_bootstrap_t(counts: np.ndarray, at_once: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(resample, "_CHUNK", at_once)
    found = interval(counts, None, WER, seed=3, num_resamples=399)
    assert (found.low, found.high) == pytest.approx(naive(counts, 3, 399), rel=1e-3, abs=1e-12)


def test_a_speakers_utterances_count_as_one():
    counts = corpus(60)
    who = [f"speaker {index % 12}" for index in range(60)]
    summed = np.array([counts[index::12].sum(axis=0) for index in sorted(range(12), key=str)])
    assert interval(counts, who, WER) == interval(summed, None, WER)
    assert interval(counts, who, WER).num_clusters == 12


@pytest.mark.parametrize("clusters", [None, ["one"] * 30])
def test_one_speaker_is_resampled_by_utterance(clusters: list[str] | None):
    found = interval(corpus(30), clusters, WER)
    assert found == interval(corpus(30), [str(index).zfill(2) for index in range(30)], WER)
    assert found.num_clusters == 30


@given(counts=rows.map(edits), num_speakers=st.integers(1, 9))
def test_interval_is_repeatable_and_holds_the_value(counts: np.ndarray, num_speakers: int):
    who = [str(index % num_speakers) for index in range(len(counts))]
    found = interval(counts, who, WER, num_resamples=200)
    assert found.value == WER.of(counts.sum(axis=0))
    if len(counts) > 1:
        assert found == interval(counts, who, WER, num_resamples=200)
        assert 0 <= found.low <= found.value <= found.high


def test_interval_narrows_with_more_data():
    few, many = interval(corpus(15), None, WER), interval(corpus(1500), None, WER)
    for found in (few, many):
        assert found.low < found.value < found.high
    assert (many.high - many.low) < (few.high - few.low) / 5


def test_interval_is_the_95_percent_one():
    """Of a rate whose spread is known: 200 utterances of one word, half of them wrong, sd 0.5 / sqrt(200)."""
    found = interval(edits([(0, 1), (1, 1)] * 100), None, WER)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * 0.5 / 200**0.5, rel=0.1)


def test_a_metric_may_grow_with_the_corpus():
    """Not a rate but a total, whose spread is known as well: 1.96 * sd * sqrt(size)."""
    total = Measure("edits", WER.columns, lambda sums: sums[..., 0])
    counts = corpus(150)
    found = interval(counts, None, total)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * counts[:, 0].std() * 150**0.5, rel=0.1)


def test_another_seed_moves_the_interval_a_little():
    one, other = (interval(corpus(100), None, WER, seed=seed) for seed in (1, 2))
    assert one != other
    assert one.low == pytest.approx(other.low, rel=0.05)


@pytest.mark.parametrize("utterance", [(1, 4), (0, 5), (1, 3)])
def test_equal_utterances_leave_nothing_to_chance(utterance: tuple[int, int]):
    found = interval(edits([utterance] * 20), None, WER)
    assert found.low == found.high == found.value == pytest.approx(utterance[0] / utterance[1])


def test_equal_translations_leave_nothing_to_chance():
    counts = np.array([bleu_counts("the cat sat on the mat", "a cat sat on the mat", "13a")] * 7)
    found = interval(counts, None, BLEU)
    assert found.low == found.high == found.value > 50


def test_one_utterance_or_none_says_nothing_of_others():
    one, none = interval(edits([(1, 4)]), None, WER), interval(np.zeros((0, 4)), None, WER)
    assert (one.value, one.num_clusters) == (0.25, 1)
    assert none.num_clusters == 0
    assert all(math.isnan(bound) for bound in (one.low, one.high, none.value, none.low, none.high))


@pytest.mark.parametrize(("size", "student"), [(2, 12.706), (3, 4.303), (4, 3.182)])
def test_under_five_units_it_is_students_t(size: int, student: float):
    wrong = np.arange(size) + 20
    found = interval(edits([(num, 100) for num in wrong]), None, WER)
    half = student * wrong.std(ddof=1) / 100 / size**0.5
    assert (found.low, found.high) == pytest.approx((max(0, wrong.mean() / 100 - half), wrong.mean() / 100 + half))


def test_bounds_are_kept():
    """Two speakers far apart: Student's t would go under 0."""
    assert interval(edits([(1, 100), (30, 100)]), None, WER).low == 0
    counts = np.array([bleu_counts("a b c d e f", answer, "13a") for answer in ("a b c d e f", "a b c d x y", "")])
    assert (interval(counts, None, BLEU).low, interval(counts, None, BLEU).high) == (0, 100)


@pytest.mark.parametrize(("num_wrong", "exact"), [(1, 5.57), (2, 7.22), (3, 8.77), (4, 10.24)])
def test_few_errors_have_an_upper_limit_of_the_exact_ones_size(num_wrong: int, exact: float):
    """exact: the upper 97.5 % limit of a Poisson mean. By the plain bootstrap-t it is infinite for 1 to 3."""
    found = interval(edits([(1, 1)] * num_wrong + [(0, 1)] * (1000 - num_wrong)), None, WER)
    assert 0.85 < found.high * 1000 / exact < 1.8
    assert found.low >= 0


def test_a_metric_undefined_without_one_unit_has_no_interval():
    found = interval(edits([(1, 4)] + [(0, 0)] * 10), None, WER)
    assert found.value == 0.25
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"counts of shape \(3, 2\) for wer, which has 4 columns"):
        interval(np.ones((3, 2)), None, WER)
    with pytest.raises(ValueError, match="2 clusters for 3 samples"):
        interval(np.ones((3, 4)), ["a", "b"], WER)
    with pytest.raises(ValueError, match="a has 3 samples, b 2: compare the same ones"):
        paired(np.ones((3, 4)), np.ones((2, 4)), None, WER)


@given(a=rows.map(edits), seed=st.integers(0, 9))
def test_nothing_between_equal_answers(a: np.ndarray, seed: int):
    found, p_value = paired(a, a, None, WER, seed=seed, num_resamples=100)
    assert (found.value, p_value) == (0, 1)
    if len(a) > 1:
        assert (found.low, found.high) == (0, 0)


def exact_p_value(a: np.ndarray, b: np.ndarray) -> float:
    """Over all 2^n swaps of a and b."""
    observed = abs(WER.of(a.sum(axis=0)) - WER.of(b.sum(axis=0)))
    as_far = []
    for swaps in itertools.product([False, True], repeat=len(a)):
        swapped = np.array(swaps)[:, None]
        one, other = np.where(swapped, b, a).sum(axis=0), np.where(swapped, a, b).sum(axis=0)
        as_far.append(abs(WER.of(one) - WER.of(other)) >= observed - 1e-12)
    return float(np.mean(as_far))


@pytest.mark.parametrize("shift", [0, 1, 2, 3])
def test_p_values_are_those_of_all_swaps(shift: int):
    words = np.array([5, 9, 4, 7, 8, 6, 5, 9])
    wrong = np.array([1, 2, 0, 1, 3, 0, 1, 2])
    other = np.array([2, 1, 1, 1, 1, 1, 2, 0]) + shift
    a, b = (edits(list(zip(each, words, strict=True))) for each in (wrong, other))
    _, p_value = paired(a, b, None, WER, num_resamples=20_000)
    assert p_value == pytest.approx(exact_p_value(a, b), abs=0.012)


def test_speakers_are_swapped_as_one():
    """Three speakers, 30 utterances each: of 8 swaps two lie as far apart as the data, however sure each utterance."""
    a, b = edits([(0, 9), (1, 9)] * 45), edits([(2, 9), (3, 9)] * 45)
    who = [str(index // 30) for index in range(90)]
    assert paired(a, b, who, WER)[1] == pytest.approx(1 / 4, abs=0.03)
    assert paired(a, b, None, WER)[1] < 0.001


def test_the_other_way_round_is_the_same_difference():
    a, b = corpus(40), np.roll(corpus(40), 7, axis=0) + np.array([1, 0, 0, 0])
    (one, p_one), (other, p_other) = (paired(*pair, None, WER) for pair in ((a, b), (b, a)))
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert p_one == pytest.approx(p_other, abs=0.02)
    assert one.value - one.low == pytest.approx(one.high - one.value)


def test_a_difference_on_the_same_samples_is_surer_than_between_two():
    """b makes one error more in every third utterance; how hard an utterance is cancels out."""
    a = edits([(index % 7, 10) for index in range(210)])
    b = a + np.array([[index % 3 == 0, 0, 0, 0] for index in range(210)])
    found, p_value = paired(a, b, None, WER)
    assert found.value == pytest.approx(-1 / 30)
    assert found.high < 0
    assert p_value < 0.01
    shuffled, _ = paired(a, np.random.default_rng(0).permutation(b), None, WER)
    assert shuffled.high - shuffled.low > 3 * (found.high - found.low)


def test_a_difference_has_a_95_percent_interval():
    """Of a spread that is known: 300 utterances of one word, a right in every third, b in another third."""
    a, b = (edits([(index % 3 != which, 1) for index in range(300)]) for which in (0, 1))
    found, _ = paired(a, b, None, WER)
    assert found.value == 0
    assert found.high == pytest.approx(1.96 * (2 / 3) ** 0.5 / 300**0.5, rel=0.1)


def test_a_p_value_is_never_0_and_follows_the_seed():
    right, wrong = edits([(0, 4)] * 50), edits([(3, 4)] * 50)
    assert paired(right, wrong, None, WER, num_resamples=99)[1] == 1 / 100
    a, b = corpus(30), edits([(7 * index % 4, 4 + index % 5) for index in range(30)])
    assert len({paired(a, b, None, WER, seed=seed, num_resamples=99)[1] for seed in range(5)}) > 1


def test_one_sample_or_none_decides_nothing():
    found, p_value = paired(edits([(0, 4)]), edits([(3, 4)]), None, WER)
    assert (found.value, p_value) == (-0.75, 1)
    assert math.isnan(found.low)
    found, p_value = paired(np.zeros((0, 10)), np.zeros((0, 10)), None, BLEU)
    assert math.isnan(p_value)
    assert isinstance(found, Interval)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.6, 0.7]) == (1, 1)
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.2))
def test_holm_rejects_step_by_step(p_values: list[float], level: float):
    """As defined: from the least on, until one is above the level over the number of those that are left."""
    rejected = [False] * len(p_values)
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        if p_values[place] * (len(p_values) - rank) > level:
            break
        rejected[place] = True
    assert [p <= level for p in holm(p_values)] == rejected


def test_holm_passes_over_the_undefined():
    adjusted = holm([0.03, math.nan, 0.02])
    assert adjusted[::2] == pytest.approx((0.04, 0.04))
    assert math.isnan(adjusted[1])
