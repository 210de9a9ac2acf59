"""The ratios as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from auricle.bench.timing import Spread
from auricle.errors import UserError

if TYPE_CHECKING:
    from auricle.bench.report import Report

_INCHES_PER_BAR = 0.35


def require_matplotlib() -> Any:
    """matplotlib's Figure.

    Raises:
        UserError: it is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("a chart needs the matplotlib library; run `pip install 'auricle[bench]'`") from error
    return Figure


def draw(report: "Report", path: Path) -> None:
    """One bar for each measurement, from 1 to its median ratio, whiskers from the least to the greatest round.

    Args:
        report: at least one measurement.
        path: its ending chooses the format, svg or png.

    Raises:
        UserError: matplotlib is not installed.
    """
    spreads = [Spread.of(measurement.ratios) for measurement in report.measurements]
    figure = require_matplotlib()(figsize=(7, 1.2 + _INCHES_PER_BAR * len(spreads)), layout="constrained")
    axes = figure.add_subplot()
    names = [measurement.name for measurement in report.measurements]
    places = range(len(spreads))
    below = [spread.median - spread.min for spread in spreads]
    above = [spread.max - spread.median for spread in spreads]
    axes.barh(places, [spread.median - 1 for spread in spreads], left=1, color="#4477aa")
    axes.errorbar(
        [spread.median for spread in spreads], places, xerr=[below, above], fmt="none", ecolor="black", capsize=3
    )
    for place, spread in zip(places, spreads, strict=True):
        axes.annotate(f" {spread.median:.1f}", (spread.max, place), va="center")
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=1)
    axes.margins(x=0.15)
    axes.set_xlabel(f"times better than transformers {report.machine.transformers}, {report.machine.cpu}")
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):  # text stays text
        figure.savefig(path)
