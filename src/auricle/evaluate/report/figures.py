"""A figure in the units of the published table, and where a published value stands to its interval."""

import math
from dataclasses import dataclass
from typing import Literal

from auricle.metrics.counts import Interval

Verdict = Literal["inside", "better", "worse"]


@dataclass(frozen=True, slots=True)
class Unit:
    """How the published table prints a figure.

    scale: from our figures, whose rates are fractions, to the table's. better: which way an improvement goes.
    """

    label: str
    name: str
    scale: float
    decimals: int
    suffix: str
    better: Literal["lower", "higher"]


UNITS: dict[str, Unit] = {
    "wer": Unit("WER", "Word error rate", 100, 2, " %", "lower"),
    "cer": Unit("CER", "Character error rate", 100, 2, " %", "lower"),
    "bleu": Unit("BLEU", "BLEU", 1, 2, "", "higher"),
    "chrf": Unit("chrF", "chrF", 1, 2, "", "higher"),
    "accuracy": Unit("Accuracy", "Accuracy", 1, 4, "", "higher"),
    "macro_f1": Unit("Macro-F1", "Macro-F1", 1, 4, "", "higher"),
    "judge": Unit("Judge", "The judge's score", 1, 2, "", "higher"),
}
UNDEFINED = "–"


def unit_of(figure: str) -> Unit:
    """The unit of a figure by its name.

    Raises:
        ValueError: no figure is called that.
    """
    if figure not in UNITS:
        raise ValueError(f"no unit is known for the figure {figure!r}: expected one of {', '.join(UNITS)}")
    return UNITS[figure]


def in_table_units(figure: str, interval: Interval) -> Interval:
    """Our figure as the published table prints it: error rates in %, the others as they are."""
    scale = unit_of(figure).scale
    return Interval(interval.value * scale, interval.low * scale, interval.high * scale, interval.num_clusters)


def verdict(figure: str, interval: Interval, published: float) -> Verdict | None:
    """Whether our interval (as scored) contains a published value (as the table prints it); bounds belong to it.

    `better` and `worse` are ours against theirs. None where our figure is undefined.
    """
    ours = in_table_units(figure, interval)
    if math.isnan(ours.low) or math.isnan(ours.high):
        return None
    if ours.low <= published <= ours.high:
        return "inside"
    return "better" if (published > ours.high) == (unit_of(figure).better == "lower") else "worse"


def difference_verdict(figure: str, difference: Interval) -> Verdict | None:
    """The same for a difference, ours minus theirs: `inside` where its interval holds zero."""
    return verdict(figure, difference, 0.0)


def number(figure: str, value: float, *, sign: bool = False) -> str:
    """A value in table units, without its unit sign."""
    if math.isnan(value):
        return UNDEFINED
    text = f"{value:{'+' if sign else ''}.{unit_of(figure).decimals}f}"
    return text.replace("-", "−")


def bounds(figure: str, interval: Interval, *, sign: bool = False) -> str:
    """`1.52 to 1.87`, in table units."""
    return f"{number(figure, interval.low, sign=sign)} to {number(figure, interval.high, sign=sign)}"


def printed(figure: str, published: float) -> str:
    """A published value with the digits it was printed with, one at least for rates, three for fractions."""
    least = 3 if figure in ("accuracy", "macro_f1") else 1
    shortest = f"{published:g}"
    num_digits = len(shortest.partition(".")[2])
    return shortest if num_digits >= least else f"{published:.{least}f}"
