"""A row looked into: its parts, and which label was taken for which."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain

from auricle.evaluate.report.charts import axis_of, strip_of
from auricle.evaluate.report.figures import bounds, in_table_units, number, unit_of
from auricle.evaluate.report.tables import clusters
from auricle.evaluate.report.view import Confusions, Detail, Panel, Part
from auricle.evaluate.scores import RowScores, Slice
from auricle.metrics.counts import Interval

_LABELS = {"source": "By source", "duration": "By duration", "snr": "By signal-to-noise ratio", "speaker": "By speaker"}


def detail(row: RowScores, anchor: str, num_listed: int) -> Detail:
    """Everything about one row but its line in the table and its answers."""
    metric = row.primary.name
    ours = in_table_units(metric, row.primary.interval)
    unit = unit_of(metric)
    return Detail(
        row.row,
        anchor,
        f"{unit.label} {number(metric, ours.value)}{unit.suffix}",
        bounds(metric, ours),
        clusters(row),
        _panels(row, ours),
        _confusions(row.confusions),
        _right(row),
        num_listed,
    )


def _right(row: RowScores) -> str | None:
    if not row.answers:
        return None
    return f"{sum(scored.error == 0 for scored in row.answers) / len(row.answers):.1%}"


def _panels(row: RowScores, ours: Interval) -> tuple[Panel, ...]:
    """One for each division, with the whole row's figure as the line to compare with."""
    divided: dict[str, list[Slice]] = {}
    for part in row.slices:
        divided.setdefault(part.by, []).append(part)
    return tuple(_panel(by, parts, ours) for by, parts in divided.items())


def _panel(by: str, slices: Sequence[Slice], ours: Interval) -> Panel:
    intervals = [in_table_units(part.figure.name, part.figure.interval) for part in slices]
    shown = chain.from_iterable((known.value, known.low, known.high) for known in intervals)
    axis = axis_of(unit_of(slices[0].figure.name), (ours.value, *shown))
    parts = []
    for part, known in zip(slices, intervals, strict=True):
        name, value = part.figure.name, number(part.figure.name, known.value)
        title = f"{part.part}: {value}{unit_of(name).suffix}, 95 % interval {bounds(name, known)}"
        strip = None if axis is None else strip_of(axis, known, title, reference=ours.value)
        parts.append(Part(part.part, part.num_samples, value, bounds(name, known), strip))
    return Panel(by, _LABELS.get(by, f"By {by}"), axis, tuple(parts))


def _confusions(found: Sequence[tuple[str, str, int]]) -> Confusions | None:
    if not found:
        return None
    of_line, of_column = Counter[str](), Counter[str]()
    for right, answer, count in found:
        of_line[right] += count
        of_column[answer] += count
    lines = sorted(of_line, key=lambda label: (-of_line[label], label))
    others = sorted(label for label in of_column if label not in of_line)
    columns = [*lines, *others]
    counts = {(right, answer): count for right, answer, count in found}

    def cells(right: str) -> tuple[tuple[int, float], ...]:
        own = [counts.get((right, answer), 0) for answer in columns]
        return tuple((count, count / max(of_line[right], 1)) for count in own)

    return Confusions(tuple(columns), tuple((right, cells(right)) for right in lines))
