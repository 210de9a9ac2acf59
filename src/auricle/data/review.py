"""The human screen: a sheet of what a person should hear, and the list of what a person rejected."""

import csv
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from auricle.data.quality import QualityLimits
from auricle.errors import UserError

_HEAD = ("id", "where", "why", "text", "recordings")
_TIGHTER = 1.25  # a borderline recording would fall under limits tighter by this factor
_TIGHTER_DB = 3.0


@dataclass(frozen=True, slots=True)
class Doubt:
    """A kept record that somebody should hear, and why."""

    id: str
    where: str
    why: str
    text: str
    recordings: tuple[Path, ...]


def tightened(limits: QualityLimits) -> QualityLimits:
    """Limits that a borderline recording breaks: a quarter tighter, 3 dB for noise."""
    return QualityLimits(
        min_s=limits.min_s * _TIGHTER,
        max_s=limits.max_s / _TIGHTER,
        min_snr_db=limits.min_snr_db + _TIGHTER_DB,
        max_clipped_share=limits.max_clipped_share / _TIGHTER,
        max_silent_share=limits.max_silent_share / _TIGHTER,
        max_edge_silence_s=limits.max_edge_silence_s / _TIGHTER,
        min_bandwidth_hz=limits.min_bandwidth_hz * _TIGHTER,
        max_dc_offset=limits.max_dc_offset / _TIGHTER,
    )


def sheet(doubts: Sequence[Doubt], path: Path) -> str:
    """The review sheet: a page with players (`.html`), or a table with tabs (`.tsv`).

    Raises:
        UserError: the path has another ending.
    """
    if path.suffix == ".tsv":
        table = io.StringIO()
        writer = csv.writer(table, delimiter="\t", lineterminator="\n")
        writer.writerow(_HEAD)
        writer.writerows((d.id, d.where, d.why, d.text, " ".join(map(str, d.recordings))) for d in doubts)
        return table.getvalue()
    if path.suffix != ".html":
        raise UserError(f"cannot write a review sheet as {path}: expected a name that ends in .html or .tsv")
    rows = "\n".join(_row(doubt) for doubt in doubts)
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Review</title>\n'
        "<style>body{font:16px sans-serif;margin:2em}td,th{padding:.4em .8em;text-align:left;vertical-align:top}"
        "tr{border-bottom:1px solid #8884}table{border-collapse:collapse}</style>\n"
        f"<h1>{len(doubts)} records to hear</h1>\n"
        "<p>Write the id of each that should go on a line of a file, and give the file as the reject list.</p>\n"
        f"<table><tr>{''.join(f'<th>{name}</th>' for name in _HEAD)}</tr>\n{rows}\n</table>\n</html>\n"
    )


def _row(doubt: Doubt) -> str:
    players = "".join(
        f'<audio controls preload="none" src="{html.escape(path.absolute().as_uri())}"></audio>'
        for path in doubt.recordings
    )
    cells = [html.escape(text) for text in (doubt.id, doubt.where, doubt.why, doubt.text)]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in (*cells, players))}</tr>"


def read_list(path: Path) -> frozenset[str]:
    """A file of one entry a line; blank lines and lines that begin with # are passed over.

    Raises:
        UserError: it cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the list {path}: {error}; expected a text file with one entry a line") from error
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))
