"""Scores as a terminal shows them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from auricle.evaluate.published import Row
from auricle.evaluate.report.comparisons import compared
from auricle.evaluate.report.figures import UNDEFINED, Verdict, bounds, in_table_units, number, printed, unit_of
from auricle.evaluate.report.standing import UNSIGNED, published_figures, standing
from auricle.evaluate.report.view import ComparedRow
from auricle.evaluate.scores import RowScores

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_SIGNS: dict[Verdict, str] = {"inside": "=", "better": "+", "worse": "-"}
_COLOURS: dict[Verdict, str] = {"inside": "blue", "better": "green", "worse": "red"}
_PUBLISHED = f"published: = inside our 95 % interval, + ours is better, - ours is worse; {UNSIGNED}"
_DIFFERENCE = (
    "difference: this run minus {}, scored the {} way, with its 95 % interval; + better, - worse, = not told apart at "
    "p < 0.05, corrected by Holm's method for all rows"
)
_UNLIMITED = 10_000  # columns


@dataclass(frozen=True, slots=True)
class _Line:
    """What a row shows. figures: with their intervals, one for each mode. notes: the numbers of its footnotes."""

    name: str
    num_samples: str
    metric: str
    figures: tuple[tuple[str, str], ...]
    published: "Text"
    against: ComparedRow | None
    notes: str


def print_scores(scores: Sequence[RowScores], rows: Mapping[str, Row]) -> None:
    """A line for each row: every mode's figure with its interval, beside the published one; footnotes below.

    Into a pipe or a file lines are as long as they must be. In a terminal that is too narrow for them a row takes
    several lines. Names are never cut.

    Args:
        scores: of at least one row, in one mode or in both.
        rows: the table's lines by name; a row that is not in it has no published figure.
    """
    modes = dict.fromkeys(row.mode for row in scores)
    first = [row for row in scores if row.mode == next(iter(modes))]
    against = _against(first)
    remarks = {row.row: _remarks(row, scores, against.get(row.row)) for row in first}
    notes = list(dict.fromkeys(chain.from_iterable(remarks.values())))
    lines = [
        _Line(
            row.row,
            f"{row.num_samples:,}",
            unit_of(row.primary.name).label,
            tuple(_figure(other) for other in scores if other.row == row.row),
            _published(row, rows.get(row.row)),
            against.get(row.row),
            ",".join(map(str, sorted(notes.index(remark) + 1 for remark in remarks[row.row]))),
        )
        for row in first
    ]
    _print(_flat(lines, tuple(modes)), _stacked(lines, tuple(modes)), _below(first, lines, notes))


def _print(flat: "Table", stacked: "Table", below: "Iterable[Table | Text]") -> None:
    """The flat table where it fits, else the stacked one, which may be wider than the terminal but cuts no word."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console()
    width = console.width if console.is_terminal else _UNLIMITED
    console.width = _UNLIMITED
    table = flat if Measurement.get(console, console.options, flat).maximum <= width else stacked
    console.width = max(width, Measurement.get(console, console.options, table).minimum)
    console.print(table)
    console.width = width
    for part in below:
        console.print(part)


def _against(scores: Sequence[RowScores]) -> dict[str, ComparedRow]:
    """By row, the comparison of the figure that it is known by."""
    known_by = {row.row: row.primary.name for row in scores}
    found = chain.from_iterable(group.rows for group in compared(scores))
    return {line.name: line for line in found if line.figure == known_by[line.name]}


def _remarks(row: RowScores, scores: Sequence[RowScores], against: ComparedRow | None) -> list[str]:
    """A row's footnotes; one that does not hold in every mode says in which."""
    modes = {other.mode: other.remarks for other in scores if other.row == row.row}
    found = [
        remark if all(remark in others for others in modes.values()) else f"{mode}: {remark}"
        for mode, remarks in modes.items()
        for remark in remarks
    ]
    if against is not None and against.num_samples < row.num_samples:
        found.append(f"difference: on the {against.num_samples:,} of {row.num_samples:,} samples that both runs have")
    return list(dict.fromkeys(found))


def _figure(row: RowScores) -> tuple[str, str]:
    name = row.primary.name
    ours = in_table_units(name, row.primary.interval)
    return number(name, ours.value), bounds(name, ours)


def _published(row: RowScores, published: Row | None) -> "Text":
    value = published_figures(published).get("official")
    if published is None or value is None:
        return _signed("", None)
    return _signed(printed(published.metric, value), standing(row, published, value))


def _signed(text: str, verdict: Verdict | None) -> "Text":
    from rich.text import Text

    return Text(text) if verdict is None else Text(f"{text} {_SIGNS[verdict]}", _COLOURS[verdict])


def _difference(known: ComparedRow, text: str) -> "Text":
    if known.holm == UNDEFINED:
        return _signed(text, None)
    return _signed(text, known.where if known.sure else "inside")


def _flat(lines: Sequence[_Line], modes: Sequence[str]) -> "Table":
    """One line for each row."""
    is_compared = any(line.against for line in lines)
    table = _table("row", "samples", "metric", *modes, "published", *["difference", "p (Holm)"] * is_compared, "notes")
    for line in lines:
        figures = [f"{value} ({interval})" for value, interval in line.figures]
        cells: list[str | Text] = [line.name, line.num_samples, line.metric, *figures, line.published]
        if is_compared and line.against is None:
            cells += ["", ""]
        elif line.against is not None:
            difference = f"{line.against.difference} ({line.against.interval})"
            cells += [_difference(line.against, difference), line.against.holm]
        table.add_row(*map(_text, (*cells, line.notes)))
    return table


def _stacked(lines: Sequence[_Line], modes: Sequence[str]) -> "Table":
    """Intervals stand below their figures; metric, samples and notes below the name."""
    is_compared = any(line.against for line in lines)
    table = _table("row", *modes, "published", *["difference"] * is_compared)
    for line in lines:
        notes = f" [{line.notes}]" if line.notes else ""
        about = f"{line.name}\n{line.metric} of {line.num_samples}{notes}"
        cells: list[str | Text] = [about, *map("\n".join, line.figures), line.published]
        if line.against is not None:
            difference = _difference(line.against, line.against.difference)
            cells.append(difference.append(f"\n{line.against.interval}\np {line.against.holm}", "default"))
        table.add_row(*map(_text, cells))
    return table


def _table(*headings: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    for heading in headings:
        is_text = heading in ("row", "metric", "notes")
        table.add_column(
            heading, justify="left" if is_text else "right", min_width=len(heading), no_wrap=heading == "row"
        )
    return table


def _text(cell: "str | Text") -> "Text":
    """Names may hold what rich takes for markup."""
    from rich.text import Text

    return Text(cell) if isinstance(cell, str) else cell


def _below(scores: Sequence[RowScores], lines: Sequence[_Line], notes: Sequence[str]) -> "Iterator[Table | Text]":
    """A blank line; what the signs mean, as far as there are any; then the footnotes by number."""
    from rich.table import Table

    yield _text("")
    if any(line.published.plain for line in lines):
        yield _text(_PUBLISHED)
    for other in dict.fromkeys(known.other for row in scores for known in row.comparisons):
        yield _text(_DIFFERENCE.format(other, scores[0].mode))
    numbered = Table.grid("", "", padding=(0, 1))
    for number_, note in enumerate(notes, 1):
        numbered.add_row(str(number_), _text(note))
    if notes:
        yield numbered
