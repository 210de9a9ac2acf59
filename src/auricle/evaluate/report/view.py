"""What the page and the tables of a report say, worked out and in words; the templates only lay it out."""

from dataclasses import dataclass

from auricle.evaluate.normalise.interface import ModeName
from auricle.evaluate.report.charts import Axis, Strip
from auricle.evaluate.report.differences import Difference
from auricle.evaluate.report.figures import Unit, Verdict
from auricle.evaluate.report.players import Player


@dataclass(frozen=True, slots=True)
class PublishedCell:
    """One published value. where: of ours to it, None where there is nothing to compare."""

    kind: str
    text: str
    where: Verdict | None


@dataclass(frozen=True, slots=True)
class Cell:
    """One number beside the primary figure, with the value that it sorts by and what a hover says."""

    text: str
    value: float
    title: str = ""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One line. notes: numbers of the mode's footnotes. published: a cell for each of the table's headings."""

    name: str
    dataset: str
    anchor: str
    samples: Cell
    hours: Cell
    figure: Cell
    interval: str
    clusters: str
    strip: Strip | None
    published: tuple[PublishedCell | None, ...]
    others: tuple[Cell | None, ...]
    counts: tuple[Cell | None, ...]
    notes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one metric, published ones or others. relative: the axis has % above the Official value.

    published, others, counts: the headings of those columns, empty where no row has any.
    """

    metric: str
    unit: Unit
    axis: Axis | None
    relative: bool
    published: tuple[str, ...]
    others: tuple[str, ...]
    counts: tuple[str, ...]
    rows: tuple[TableRow, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One line of a slice."""

    name: str
    num_samples: int
    value: str
    interval: str
    strip: Strip | None


@dataclass(frozen=True, slots=True)
class Panel:
    """A row divided in one way, on one axis."""

    by: str
    label: str
    axis: Axis | None
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Confusions:
    """How often each right label (a line) was answered as what (a column), with its share of the line."""

    answers: tuple[str, ...]
    lines: tuple[tuple[str, tuple[tuple[int, float], ...]], ...]


@dataclass(frozen=True, slots=True)
class Detail:
    """A row looked into. right: the share of answers without an error, None where no answers came along."""

    name: str
    anchor: str
    figure: str
    interval: str
    clusters: str
    panels: tuple[Panel, ...]
    confusions: Confusions | None
    right: str | None
    num_listed: int


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """A row against another run's. holm: the p-value corrected for all rows."""

    name: str
    figure: str
    num_samples: int
    difference: str
    interval: str
    p_value: str
    holm: str
    where: Verdict | None
    sure: bool
    strip: Strip | None


@dataclass(frozen=True, slots=True)
class Compared:
    """All comparisons with one run in one metric."""

    other: str
    unit: Unit
    axis: Axis | None
    rows: tuple[ComparedRow, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """One of the worst answers.

    cells: reference and answer word by word, None for labels and free answers; tight: written without spaces.
    error_percent: for sorting and filters; num_errors: words that differ.
    """

    row: str
    anchor: str
    source: str
    id: str
    error: str
    error_percent: float
    num_errors: int
    flags: tuple[str, ...]
    facts: tuple[str, ...]
    prompt: str
    reference: str
    answer: str
    cells: tuple[Difference, ...] | None
    tight: bool
    failure: str | None
    recording: str
    player: Player | None


@dataclass(frozen=True, slots=True)
class ModeView:
    """Everything in one mode."""

    name: ModeName
    reasons: tuple[str, ...]
    headline: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    details: tuple[Detail, ...]
    compared: tuple[Compared, ...]
    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A whole report. tiles: the few large numbers at its top; facts: everything else about the run."""

    title: str
    tiles: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]
    modes: tuple[ModeView, ...]
