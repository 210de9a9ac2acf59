"""The harness: two things in turns, what each took, and how many times better ours is."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any, Literal

Clock = Callable[[], float]
Better = Literal["less", "more"]


@dataclass(frozen=True, slots=True)
class Timings:
    """One value a round and side; round i of both was taken right after each other."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]


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


def alternate(ours: Callable[[], float], theirs: Callable[[], float], *, rounds: int, warm_up: int = 1) -> Timings:
    """Ours, theirs, ours, theirs ...: whatever slows the machine for a while slows both.

    Args:
        ours: does the work once and says what it measured.
        theirs: the same work on the other side.
        rounds: how many pairs count.
        warm_up: how many pairs come before them and do not.
    """
    pairs = [(ours(), theirs()) for _ in range(warm_up + rounds)][warm_up:]
    return Timings(tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))


def seconds(work: Callable[[], object], *, clock: Clock = time.perf_counter) -> Callable[[], float]:
    """The work as something to alternate: it runs, and says how many seconds it took."""

    def timed() -> float:
        start = clock()
        work()
        return clock() - start

    return timed
