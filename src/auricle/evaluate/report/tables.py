"""Our figures beside the published ones: a table for each metric, one line per row."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from auricle.evaluate.flags import FLAGS, count_name
from auricle.evaluate.published import Row
from auricle.evaluate.report.charts import Axis, Mark, Strip, axis_around_zero, axis_of, strip_of
from auricle.evaluate.report.figures import UNITS, bounds, in_table_units, number, printed, unit_of
from auricle.evaluate.report.standing import PUBLISHED, published_figures, standing
from auricle.evaluate.report.view import Cell, PublishedCell, Table, TableRow
from auricle.evaluate.scores import RowScores
from auricle.metrics import Interval

_EDITS = ("substitutions", "insertions", "deletions")


def tables(scores: Sequence[RowScores], rows: Mapping[str, Row], notes: Sequence[str]) -> tuple[Table, ...]:
    """Rows of one mode, those of a metric together, in the order in which metrics first appear; unpublished ones apart.

    Args:
        scores: of one mode.
        rows: by name; a row without one has no published figures.
        notes: the mode's footnotes, in the order of their numbers.
    """
    found: dict[str, tuple[list[RowScores], list[RowScores]]] = {}
    for row in scores:
        known, own = found.setdefault(row.primary.name, ([], []))
        (known if _official(row, rows.get(row.row)) else own).append(row)
    groups = [(metric, group) for metric, both in found.items() for group in both if group]
    return tuple(_table(metric, group, rows, notes) for metric, group in groups)


def footnotes(scores: Sequence[RowScores]) -> list[str]:
    """All different remarks, in the order of the rows."""
    return list(dict.fromkeys(chain.from_iterable(row.remarks for row in scores)))


def anchor(row: RowScores) -> str:
    """An id for a page; names may hold any character."""
    return f"{row.mode}-{re.sub(r'[^a-zA-Z0-9_-]', '-', row.row)}"


def clusters(row: RowScores) -> str:
    """What the intervals of a row resample: `40 speakers`."""
    count = row.primary.interval.num_clusters
    return f"{count:,} {row.clusters}{'s' * (count != 1)}"


def headline(scores: Sequence[RowScores], rows: Mapping[str, Row]) -> str:
    """How many published figures our intervals contain, in one sentence; empty where there is none to compare."""
    where = []
    for row in scores:
        published = rows.get(row.row)
        where += [standing(row, published, value) for value in published_figures(published).values()]
    counted = {name: where.count(name) for name in ("inside", "better", "worse")}
    if not (total := sum(counted.values())):
        return ""
    return (
        f"Of {total} published figure{'s' if total > 1 else ''}, {counted['inside']} lie{'s' * (total == 1)} inside "
        f"our 95 % interval; ours is better than {counted['better']} and worse than {counted['worse']}."
    )


@dataclass(frozen=True, slots=True)
class _Columns:
    """Which columns a table has beside those of every table, by the names that scores give them."""

    published: Sequence[str]
    edits: Sequence[str]
    figures: Sequence[str]
    counts: Sequence[str]


def _table(metric: str, group: Sequence[RowScores], rows: Mapping[str, Row], notes: Sequence[str]) -> Table:
    known = [dict(row.counts) for row in group]
    columns = _Columns(
        [field for field, _ in PUBLISHED] if any(published_figures(rows.get(row.row)) for row in group) else [],
        [edit for edit in _EDITS if any(edit in counts for counts in known)],
        [name for name in UNITS if any(f.name == name and not f.primary for row in group for f in row.figures)],
        [key for key in map(count_name, FLAGS) if any(key in counts for counts in known)],
    )
    values = chain.from_iterable(_values(row, rows.get(row.row)) for row in group)
    relative = _official(group[0], rows.get(group[0].row)) is not None
    axis = axis_around_zero(values) if relative else axis_of(unit_of(metric), values)
    return Table(
        metric,
        unit_of(metric),
        axis,
        relative,
        tuple(dict(PUBLISHED)[field] for field in columns.published),
        (*(edit[0].upper() for edit in columns.edits), *(unit_of(name).label for name in columns.figures)),
        tuple(flag.replace("_", " ") for flag in columns.counts),
        tuple(_line(row, rows.get(row.row), axis, columns, notes) for row in group),
    )


def _values(row: RowScores, published: Row | None) -> list[float]:
    """Everything that the strip of a row shows, where its axis has it."""
    ours = in_table_units(row.primary.name, row.primary.interval)
    shown = (ours.value, ours.low, ours.high, *_marked(row, published).values())
    return [_on_axis(value, _official(row, published)) for value in shown]


def _official(row: RowScores, published: Row | None) -> float | None:
    """The Official value, where it is in the metric of the strip and a ratio to it makes sense."""
    return _marked(row, published).get("official") or None


def _on_axis(value: float, official: float | None) -> float:
    """A value in table units as its strip places it: in % above the Official one, or as it is where there is none.

    Rows of 1.7 and of 45 so share an axis on which a tenth more is as far for both.
    """
    return value if official is None else 100 * (value / official - 1)


def _marked(row: RowScores, published: Row | None) -> dict[str, float]:
    """The published values that belong on the strip: those in its metric."""
    return published_figures(published) if published and published.metric == row.primary.name else {}


def _line(
    row: RowScores, published: Row | None, axis: Axis | None, columns: _Columns, notes: Sequence[str]
) -> TableRow:
    metric = row.primary.name
    ours = in_table_units(metric, row.primary.interval)
    return TableRow(
        row.row,
        published.dataset if published else "",
        anchor(row),
        _samples(row, published),
        Cell(f"{row.audio_s / 3600:.{1 if row.audio_s >= 36000 else 2}f}", row.audio_s, f"{row.audio_s:,.0f} s"),
        Cell(number(metric, ours.value), ours.value),
        bounds(metric, ours),
        clusters(row),
        _strip(row, published, axis),
        tuple(_published_cell(row, published, field) for field in columns.published),
        (*(_edit(row, edit) for edit in columns.edits), *(_other(row, name) for name in columns.figures)),
        tuple(_count(row, flag) for flag in columns.counts),
        tuple(notes.index(remark) + 1 for remark in row.remarks),
    )


def _strip(row: RowScores, published: Row | None, axis: Axis | None) -> Strip | None:
    if axis is None:
        return None
    metric = row.primary.name
    ours = in_table_units(metric, row.primary.interval)
    title = f"{row.row}: {number(metric, ours.value)}{unit_of(metric).suffix}, 95 % interval {bounds(metric, ours)}"
    official = _official(row, published)
    low, value, high = (_on_axis(value, official) for value in (ours.low, ours.value, ours.high))
    marks = [
        Mark(field, axis.x(_on_axis(value, official)), f"{dict(PUBLISHED)[field]}: {printed(metric, value)}")
        for field, value in _marked(row, published).items()
    ]
    placed = Interval(value, low, high, ours.num_clusters)
    return strip_of(axis, placed, title, marks, reference=math.nan if official is None else 0.0)


def _samples(row: RowScores, published: Row | None) -> Cell:
    if published is None or published.count in (None, row.num_samples):
        return Cell(f"{row.num_samples:,}", row.num_samples)
    return Cell(f"{row.num_samples:,} of {published.count:,}", row.num_samples, "the published row has another count")


def _published_cell(row: RowScores, published: Row | None, field: str) -> PublishedCell | None:
    value = published_figures(published).get(field)
    if published is None or value is None:
        return None
    return PublishedCell(field, printed(published.metric, value), standing(row, published, value))


def _edit(row: RowScores, edit: str) -> Cell | None:
    """Edits of one kind in % of the reference words."""
    known = dict(row.counts)
    if edit not in known or not known.get("reference_words"):
        return None
    share = 100 * known[edit] / known["reference_words"]
    return Cell(f"{share:.2f}", share, f"{known[edit]:,} {edit} in {known['reference_words']:,} reference words")


def _other(row: RowScores, name: str) -> Cell | None:
    figure = next((figure for figure in row.figures if figure.name == name and not figure.primary), None)
    if figure is None:
        return None
    ours = in_table_units(name, figure.interval)
    return Cell(number(name, ours.value), ours.value, f"95 % interval {bounds(name, ours)}")


def _count(row: RowScores, flag: str) -> Cell | None:
    count = dict(row.counts).get(flag)
    if count is None:
        return None
    return Cell(f"{count:,}", count, f"{count / max(row.num_samples, 1):.1%} of the answers")
