"""The tables of a report in Markdown, for a pull request."""

import re
from collections.abc import Sequence

from auricle.evaluate.report.figures import Verdict
from auricle.evaluate.report.standing import UNSIGNED
from auricle.evaluate.report.view import Cell, Compared, ModeView, Page, PublishedCell, Table

_SIGNS: dict[Verdict, str] = {"inside": "≈", "better": "▲", "worse": "▼"}
_LEGEND = f"≈ our 95 % interval contains the published value; ▲ ours is better; ▼ ours is worse; {UNSIGNED}."


def markdown(page: Page) -> str:
    """A heading, what the run was, then for each mode its tables, its notes and its comparisons."""
    facts = [f"- **{name}**: {_text(value)}" for name, value in (*page.tiles, *page.facts)]
    remarks = [f"- {_text(remark)}" for remark in page.remarks]
    parts = [f"# Evaluation of {_text(page.title)}", "\n".join(facts)]
    parts += ["\n".join(["Remarks:", "", *remarks])] if remarks else []
    for mode in page.modes:
        parts += _mode(mode)
    return "\n\n".join(parts) + "\n"


def _mode(mode: ModeView) -> list[str]:
    parts = [f"## Scored the {mode.name} way"]
    parts += ["\n".join(f"- {_text(reason)}" for reason in mode.reasons)] if mode.reasons else []
    if any(table.published for table in mode.tables):
        parts += [f"{mode.headline} {_LEGEND}".strip()]
    for table in mode.tables:
        parts += [f"### {_heading(table)}", _table(table)]
    parts += ["\n".join(f"{number}. {_text(note)}" for number, note in enumerate(mode.notes, 1))] if mode.notes else []
    for group in mode.compared:
        parts += [
            f"### Against {_text(group.other)}: {group.unit.label}{group.unit.suffix and ', in points'}",
            _compared(group),
        ]
    return parts


def _heading(table: Table) -> str:
    unit, apart = table.unit, "" if table.published else "; not in the published table"
    return f"{unit.name}{',' * bool(unit.suffix)}{unit.suffix} ({unit.better} is better{apart})"


def _table(table: Table) -> str:
    head = [
        "row",
        "samples",
        "hours",
        table.unit.label,
        "95 % interval",
        *table.published,
        *table.others,
        *table.counts,
    ]
    lines = []
    for row in table.rows:
        notes = "".join(f"[{note}]" for note in row.notes)
        lines.append(
            [
                f"{_text(row.name)} {notes}".strip(),
                row.samples.text,
                row.hours.text,
                f"**{row.figure.text}**",
                row.interval,
                *map(_published, row.published),
                *map(_cell, (*row.others, *row.counts)),
            ]
        )
    return _grid(head, lines, left=1)


def _compared(group: Compared) -> str:
    head = ["row", "samples", "difference", "95 % interval", "p", "p (Holm)"]
    lines = [
        [_text(row.name), f"{row.num_samples:,}", f"**{row.difference}**", row.interval, row.p_value, row.holm]
        for row in group.rows
    ]
    return _grid(head, lines, left=1)


def _grid(head: Sequence[str], lines: Sequence[Sequence[str]], *, left: int) -> str:
    rule = ["---" if place < left else "---:" for place in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *lines))


def _published(cell: PublishedCell | None) -> str:
    return "" if cell is None else f"{cell.text} {_SIGNS[cell.where] if cell.where else ''}".strip()


def _cell(cell: Cell | None) -> str:
    return "" if cell is None else cell.text


def _text(text: str) -> str:
    """As Markdown that shows the text as it is, on one line."""
    escaped = re.sub(r"[\\`*\[\]<>|#&~]|(?<!\w)_|_(?!\w)", r"\\\g<0>", text)
    return " ".join(escaped.split())
