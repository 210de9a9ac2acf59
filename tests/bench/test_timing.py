"""The harness on a clock of our own, and the arithmetic of ratios and spreads."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.bench.timing import Measurement, Spread, Timings, alternate, seconds


class FakeClock:
    """Stands still until work moves it on."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def work(self, *durations_s: float) -> Callable[[], None]:
        """Work that takes these durations, one a call."""
        left = iter(durations_s)

        def run() -> None:
            self.now_s += next(left)

        return run


def test_rounds_alternate_and_the_warm_up_does_not_count() -> None:
    clock, calls = FakeClock(), []

    def recorded(name: str, work: Callable[[], None]) -> Callable[[], float]:
        def run() -> None:
            calls.append(name)
            work()

        return seconds(run, clock=clock)

    ours, theirs = clock.work(50, 1, 2, 3), clock.work(70, 4, 10, 6)
    timings = Timings.of(alternate(recorded("ours", ours), recorded("theirs", theirs), rounds=3))
    assert calls == ["ours", "theirs"] * 4
    assert timings == Timings((1, 2, 3), (4, 10, 6))
    assert Measurement("x", "x", "s", "less", timings).ratios == [4, 5, 2]


def test_without_warm_up_the_first_round_counts() -> None:
    clock = FakeClock()
    work = [seconds(clock.work(9, 1), clock=clock) for _ in range(2)]
    assert alternate(work[0], work[1], rounds=2, warm_up=0) == [(9, 9), (1, 1)]


def test_a_ratio_above_one_is_better_either_way() -> None:
    timings = Timings(ours=(2.0, 5.0), theirs=(6.0, 5.0))
    assert Measurement("time", "", "s", "less", timings).ratios == [3.0, 1.0]
    assert Measurement("rate", "", "tokens/s", "more", timings).ratios == [pytest.approx(1 / 3), 1.0]


def test_the_ratio_is_of_rounds_not_of_medians() -> None:
    """Both sides slow down together in the second round: the ratio stays."""
    timings = Timings(ours=(1.0, 10.0, 1.0), theirs=(3.0, 30.0, 4.0))
    assert Spread.of(Measurement("x", "", "s", "less", timings).ratios).median == 3.0


def test_a_spread_worked_by_hand() -> None:
    assert Spread.of([5, 1, 4, 2, 3]) == Spread(median=3, q1=2, q3=4, min=1, max=5)
    assert Spread.of([7]) == Spread(7, 7, 7, 7, 7)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_a_spread_is_in_order(values: list[float]) -> None:
    spread = Spread.of(values)
    ordered = [spread.min, spread.q1, spread.median, spread.q3, spread.max]
    for low, high in pairwise(ordered):
        assert low <= high or low == pytest.approx(high)
