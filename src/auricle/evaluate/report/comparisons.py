"""Rows against the same rows of another run."""

import math
from collections.abc import Sequence
from itertools import chain

from auricle.evaluate.report.charts import Axis, axis_around_zero, strip_of
from auricle.evaluate.report.figures import UNDEFINED, bounds, difference_verdict, in_table_units, number, unit_of
from auricle.evaluate.report.view import Compared, ComparedRow
from auricle.evaluate.scores import Comparison, RowScores
from auricle.metrics import holm

SURE = 0.05  # the largest corrected p-value that counts as a difference


def corrected(scores: Sequence[RowScores]) -> dict[tuple[str, str, str], float]:
    """(row, other run, figure) -> its p-value after Holm's correction.

    Corrected together: the figures that rows are known by, of one mode against one run; their other figures apart,
    since those say much the same a second time.
    """
    families: dict[tuple[str, bool], list[tuple[str, Comparison]]] = {}
    for row in scores:
        for known in row.comparisons:
            families.setdefault((known.other, known.figure == row.primary.name), []).append((row.row, known))
    result: dict[tuple[str, str, str], float] = {}
    for (other, _), family in families.items():
        p_values = holm([known.p_value for _, known in family])
        result |= {(row, other, known.figure): p for (row, known), p in zip(family, p_values, strict=True)}
    return result


def compared(scores: Sequence[RowScores]) -> tuple[Compared, ...]:
    """The comparisons of one mode, one group for each other run and metric."""
    p_values = corrected(scores)
    groups: dict[tuple[str, str], list[tuple[str, Comparison]]] = {}
    for row in scores:
        for known in row.comparisons:
            groups.setdefault((known.other, known.figure), []).append((row.row, known))
    return tuple(_group(other, metric, group, p_values) for (other, metric), group in groups.items())


def _group(
    other: str, metric: str, group: Sequence[tuple[str, Comparison]], p_values: dict[tuple[str, str, str], float]
) -> Compared:
    intervals = [in_table_units(metric, known.difference) for _, known in group]
    axis = axis_around_zero(chain.from_iterable((i.value, i.low, i.high) for i in intervals))
    rows = tuple(_line(row, known, axis, p_values[(row, other, metric)]) for row, known in group)
    return Compared(other, unit_of(metric), axis, rows)


def _line(row: str, known: Comparison, axis: Axis | None, p_value: float) -> ComparedRow:
    difference = in_table_units(known.figure, known.difference)
    value = number(known.figure, difference.value, sign=True)
    interval = bounds(known.figure, difference, sign=True)
    title = f"{row}: {value}{unit_of(known.figure).suffix}, 95 % interval {interval}"
    strip = None if axis is None else strip_of(axis, difference, title, reference=0.0)
    return ComparedRow(
        row,
        known.figure,
        known.num_samples,
        value,
        interval,
        _probability(known.p_value),
        _probability(p_value),
        difference_verdict(known.figure, known.difference),
        p_value < SURE,
        strip,
    )


def _probability(p_value: float) -> str:
    if math.isnan(p_value):
        return UNDEFINED
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"
