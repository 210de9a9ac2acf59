"""One report of hand-made scores, written once."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import made_scores  # noqa: E402

from auricle.evaluate.report import ReportSettings, write_report  # noqa: E402

REASONS = {"official": ("Does as the scripts do.",), "strict": ("Keeps é apart from e.",)}


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory, recordings: list[Path]) -> tuple[Path, Path, Path]:
    """The page, the Markdown and the JSON; a player holds 3 s at most."""
    folder = tmp_path_factory.mktemp("report") / "made"
    settings = ReportSettings(player_s=3.0)
    scores = made_scores.scores(recordings)
    return write_report(folder, made_scores.INFO, scores, made_scores.ROWS_BY_NAME, settings, reasons=REASONS)
