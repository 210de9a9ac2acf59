"""The harness: two things in turns, what each took, and how many times better ours is."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any, Literal, TypeVar

Clock = Callable[[], float]
Better = Literal["less", "more"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Timings:
    """One value a round and side; round i of both was taken right after each other."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @classmethod
    def of(cls, pairs: Sequence[tuple[float, float]]) -> "Timings":
        """Of the rounds' pairs, at least one."""
        return cls(tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with its quartiles and extremes; one value alone is all five."""

    median: float
    q1: float
    q3: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of at least one value; the quartiles lie within the values (the inclusive method)."""
        q1, _, q3 = quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
        return cls(median(values), q1, q3, min(values), max(values))


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured thing: what it is, the values of every round, and what else a reader should know."""

    name: str
    what: str
    unit: str
    better: Better
    timings: Timings
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def ratios(self) -> list[float]:
        """For each round how many times better ours is: 2 is half the time, half the memory or twice the rate."""
        pairs = zip(self.timings.ours, self.timings.theirs, strict=True)
        return [theirs / ours if self.better == "less" else ours / theirs for ours, theirs in pairs]


def alternate(ours: Callable[[], T], theirs: Callable[[], T], *, rounds: int, warm_up: int = 1) -> list[tuple[T, T]]:
    """Ours, theirs, ours, theirs ...: whatever slows the machine for a while slows both.

    Args:
        ours: does the work once and says what it measured.
        theirs: the same work on the other side.
        rounds: how many pairs count.
        warm_up: how many pairs come before them and do not.
    """
    return [(ours(), theirs()) for _ in range(warm_up + rounds)][warm_up:]


def seconds(work: Callable[[], object], *, clock: Clock = time.perf_counter) -> Callable[[], float]:
    """The work as something to alternate: it runs, and says how many seconds it took."""

    def timed() -> float:
        start = clock()
        work()
        return clock() - start

    return timed
