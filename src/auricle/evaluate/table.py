"""Scores as a terminal shows them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from auricle.evaluate.published import Row
from auricle.evaluate.report.figures import bounds, in_table_units, number, printed, unit_of, verdict
from auricle.evaluate.scores import Figure, RowScores

if TYPE_CHECKING:
    from rich.table import Table

_VERDICTS = {"inside": "=", "better": "+", "worse": "-"}
_COLOURS = {"inside": "blue", "better": "green", "worse": "red"}


def to_table(scores: Sequence[RowScores], rows: Mapping[str, Row]) -> "Table":
    """A line for each row: both modes' figures with their intervals, beside the published one.

    = means that our interval holds the published value, + that we are better, - that we are worse.
    """
    from rich.table import Table

    table = Table(caption="95 % intervals; published: = within ours, + ours is better, - worse")
    for heading, justify in (
        ("row", "left"),
        ("samples", "right"),
        ("metric", "left"),
        ("official", "right"),
        ("strict", "right"),
        ("published", "right"),
    ):
        table.add_column(heading, justify="left" if justify == "left" else "right")
    for name in dict.fromkeys(row.row for row in scores):
        modes = {row.mode: row for row in scores if row.row == name}
        first = next(iter(modes.values()))
        shown = [_shown(modes[mode].primary) if mode in modes else "" for mode in ("official", "strict")]
        published = _published(first.primary, rows[name].official)
        table.add_row(name, f"{first.num_samples:,}", unit_of(first.primary.name).label, *shown, published)
    return table


def _shown(figure: Figure) -> str:
    ours = in_table_units(figure.name, figure.interval)
    return f"{number(figure.name, ours.value)} ({bounds(figure.name, ours)})"


def _published(figure: Figure, value: float | None) -> str:
    if value is None:
        return ""
    found = verdict(figure.name, figure.interval, value)
    shown = printed(figure.name, value)
    return shown if found is None else f"[{_COLOURS[found]}]{shown} {_VERDICTS[found]}[/]"
