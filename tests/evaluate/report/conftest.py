"""One report of hand-made scores, written once."""

from pathlib import Path

import made_scores
import pytest

from auricle.evaluate.report import ReportSettings, write_report

REASONS = {"official": ("Does as the scripts do.",), "strict": ("Keeps é apart from e.",)}


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory, recordings: list[Path]) -> tuple[Path, Path, Path]:
    """The page, the Markdown and the JSON; a player holds 3 s at most."""
    folder = tmp_path_factory.mktemp("report") / "made"
    settings = ReportSettings(player_s=3.0)
    scores = made_scores.scores(recordings)
    return write_report(folder, made_scores.INFO, scores, made_scores.ROWS_BY_NAME, settings, reasons=REASONS)
