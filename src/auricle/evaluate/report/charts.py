"""Where the marks of the report's charts lie: axes with round ticks, intervals on them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from auricle.evaluate.report.figures import Unit
from auricle.metrics.counts import Interval

WIDTH = 300.0  # of every strip, in its own units; its height is the template's affair
_MARGIN = 10.0
_WIDE = 4.0  # largest / smallest error rate from which an axis is logarithmic
_NUM_TICKS = 5
_MOST_TICKS = 8


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from low to high on WIDTH, logarithmic or not."""

    low: float
    high: float
    logarithmic: bool = False

    def x(self, value: float) -> float:
        """The place of a value, kept on the strip."""
        low, high, at = (math.log(max(v, 1e-9)) if self.logarithmic else v for v in (self.low, self.high, value))
        share = (at - low) / (high - low)
        return round(_MARGIN + (WIDTH - 2 * _MARGIN) * min(max(share, 0.0), 1.0), 2)

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """Round values between the ends, about five."""
        values = _log_ticks(self.low, self.high) if self.logarithmic else _linear_ticks(self.low, self.high)
        return tuple(Tick(self.x(value), f"{value:g}".replace("-", "−")) for value in values)


@dataclass(frozen=True, slots=True)
class Mark:
    """A published value on a strip: `official`, `transformers` or `vllm`."""

    kind: str
    x: float
    title: str


@dataclass(frozen=True, slots=True)
class Strip:
    """One line of a forest plot: our value and its interval, published values as marks.

    reference: a line to compare with, such as zero for differences, or the whole row's value for its parts.
    """

    x: float
    low: float
    high: float
    title: str
    gridlines: tuple[float, ...]
    marks: tuple[Mark, ...] = ()
    reference: float | None = None


def axis_over(values: Iterable[float]) -> Axis | None:
    """An axis that shows all of them with a little room; None where there is nothing to show."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    low, high = min(finite), max(finite)
    room = (high - low) * 0.06 or max(abs(high) * 0.1, 0.01)
    return Axis(low - room if low < 0 or low - room >= 0 else 0.0, high + room)


def axis_around_zero(values: Iterable[float]) -> Axis | None:
    """The same for differences: zero belongs to it."""
    finite = [value for value in values if math.isfinite(value)]
    return axis_over([*finite, 0.0]) if finite else None


def axis_of_rates(values: Iterable[float]) -> Axis | None:
    """The same for error rates: logarithmic where one is at least four times another, none of them zero.

    1.7 and 2.2 so stay apart beside 45.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite or min(finite) <= 0 or max(finite) / min(finite) < _WIDE:
        return axis_over(finite)
    return Axis(min(finite) / 1.1, max(finite) * 1.1, logarithmic=True)


def axis_of(unit: Unit, values: Iterable[float]) -> Axis | None:
    """The one that suits a figure."""
    return axis_of_rates(values) if unit.better == "lower" else axis_over(values)


def strip_of(
    axis: Axis, ours: Interval, title: str, marks: Sequence[Mark] = (), *, reference: float = math.nan
) -> Strip | None:
    """An interval on an axis; None where the value is undefined. An undefined bound ends at the value."""
    if math.isnan(ours.value):
        return None
    low, high = (ours.value if math.isnan(bound) else bound for bound in (ours.low, ours.high))
    gridlines = tuple(tick.x for tick in axis.ticks)
    places = (axis.x(ours.value), axis.x(low), axis.x(high))
    return Strip(*places, title, gridlines, tuple(marks), None if math.isnan(reference) else axis.x(reference))


def _linear_ticks(low: float, high: float) -> list[float]:
    raw = (high - low) / _NUM_TICKS * 0.8
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(step * size for step in (1, 2, 2.5, 5, 10) if step * size >= raw)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(place * step, 10) for place in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """As many round values of every decade as leave room for their labels."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 1.5, 2, 3, 5, 7), (1, 2, 3, 5), (1, 2, 5), (1,)):
        values = [round(digit * 10.0**decade, 10) for decade in decades for digit in digits]
        shown = [value for value in values if low <= value <= high]
        if len(shown) <= _MOST_TICKS:
            break
    return shown
