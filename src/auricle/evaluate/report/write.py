"""Report files in a run folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from auricle.errors import UserError
from auricle.evaluate.normalise.interface import ModeName
from auricle.evaluate.published import Row
from auricle.evaluate.report.build import build
from auricle.evaluate.report.html import html
from auricle.evaluate.report.json_report import json_report
from auricle.evaluate.report.markdown import markdown
from auricle.evaluate.report.settings import ReportSettings
from auricle.evaluate.run_info import RunInfo
from auricle.evaluate.scores import RowScores
from auricle.evaluate.whole_file import write_whole

_NO_REASONS: Mapping[ModeName, Sequence[str]] = MappingProxyType({})


def write_report(
    folder: Path,
    info: RunInfo,
    scores: Sequence[RowScores],
    rows: Mapping[str, Row],
    settings: ReportSettings,
    *,
    reasons: Mapping[ModeName, Sequence[str]] = _NO_REASONS,
    num_missing: int = 0,
) -> tuple[Path, Path, Path]:
    """Write report.html, report.md and report.json; a file that is there already is replaced by a whole one.

    Args:
        folder: where; made if missing.
        info: what the run was made with.
        scores: every row in one mode or in both, in the order of the table; a row's mode is its own.
        rows: the table's lines by name, with their published figures; a row that is not in it has none.
        settings: how much the report holds.
        reasons: what each mode does and why, in sentences, for the reader.
        num_missing: samples of the run that have no answer yet.

    Returns:
        The paths of the page, the Markdown and the JSON.

    Raises:
        UserError: there are no scores, jinja2 or rapidfuzz is missing, or the folder cannot be written.
    """
    if not scores:
        raise UserError(
            f"a report of no rows for {folder}: expected scores of at least one; run `auricle eval run` first, "
            "and `auricle eval judge` where it asked chats"
        )
    page = build(info, scores, rows, settings, reasons, num_missing=num_missing)
    texts = {
        folder / "report.html": html(page),
        folder / "report.md": markdown(page),
        folder / "report.json": json_report(info, scores, rows, settings, reasons, num_missing=num_missing),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            write_whole(path, text.encode(errors="replace"))  # half a surrogate pair is no text
    except OSError as error:
        raise UserError(
            f"the report cannot be written to {folder}: {error.strerror}; choose a folder that can"
        ) from error
    first, second, third = texts
    return first, second, third
