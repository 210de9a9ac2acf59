"""Reports of an evaluation: a page to read, Markdown for a pull request, JSON for programs."""

from auricle.evaluate.report.settings import ReportSettings
from auricle.evaluate.report.write import write_report

__all__ = ["ReportSettings", "write_report"]
