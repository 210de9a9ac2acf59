"""A run's values over its steps as pictures."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auricle.errors import UserError
from auricle.train.lines import writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Series = dict[str, list[tuple[int, float]]]
"""For each name its (step, value), in the order of the steps."""

_SMOOTHING_STEPS = 20  # the bold line's time constant
_FEW_POINTS = 60  # each of them gets a dot
_MOST_POINTS = 2000  # drawn of one series; more would not fit a picture's columns


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: its file, and from top to bottom what each axes shows: a label and the names drawn in it.

    A name that ends in `/` stands for all that begin with it.
    """

    file: str
    axes: tuple[tuple[str, tuple[str, ...]], ...]


def _everywhere(name: str) -> tuple[str, ...]:
    return (name, f"heldout/{name}", f"silent/{name}")


PANELS = (
    Panel(
        "loss.png",
        (("training loss", ("loss",)), ("learning rate", ("rate/",)), ("norm of the gradient", ("grad_norm",))),
    ),
    Panel(
        "heldout.png",
        (
            ("held-out loss", ("heldout/loss",)),
            ("nats a token", ("heldout/nll", "heldout/nll_other_audio")),
            ("1 - true / other audio", ("heldout/gap",)),
        ),
    ),
    Panel("wer.png", (("held-out answers", ("heldout/wer", "heldout/answer_wer", "heldout/exact_match")),)),
    Panel(
        "preference.png",
        (
            ("reward accuracy", _everywhere("rewards/accuracies")),
            ("reward margin", _everywhere("rewards/margins")),
        ),
    ),
)


def series_of(lines: Iterable[Mapping[str, Any]]) -> Series:
    """Lines of metrics.jsonl as series; texts that name no number are left out."""
    series: Series = {}
    for line in lines:
        for name, value in line.items():
            if (number := _number(value)) is not None and name != "step":
                series.setdefault(name, []).append((line["step"], number))
    return series


def draw_curves(series: Series, folder: Path) -> list[str]:
    """Draw every panel of which something is known -> the names of the files written.

    Raises:
        UserError: matplotlib is not installed, or a picture cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("curves need the matplotlib library; run `pip install 'auricle[train]'`") from error
    drawn = []
    for panel in PANELS:
        shown = [(label, names) for label, wanted in panel.axes if (names := _matching(series, wanted))]
        if not shown:
            continue
        figure = Figure(figsize=(8, 2.6 * len(shown) + 0.4), layout="constrained")
        canvas = FigureCanvasAgg(figure)
        for axes, (label, names) in zip(figure.subplots(len(shown), squeeze=False)[:, 0], shown, strict=True):
            _draw(axes, label, {name: series[name] for name in names})
        figure.get_axes()[-1].set_xlabel("step")
        _save(canvas, folder / panel.file)
        drawn.append(panel.file)
    return drawn


def _draw(axes: "Axes", label: str, series: Series) -> None:
    for number, (name, points) in enumerate(series.items()):
        thin = _thinned(points)
        steps, values = [step for step, _ in thin], [value for _, value in thin]
        color, many = f"C{number}", len(points) > 2 * _SMOOTHING_STEPS and not name.startswith("rate/")
        marker = "." if len(points) < _FEW_POINTS else ""
        axes.plot(steps, values, color=color, alpha=0.3 if many else 1, label=None if many else name, marker=marker)
        if many:
            smooth = _thinned(_smoothed(points))
            axes.plot([step for step, _ in smooth], [value for _, value in smooth], color=color, label=name)
    if all(name.startswith("rate/") for name in series):
        axes.set_yscale("log")  # from one part to another by powers of ten
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, fontsize="small")  # above, not over


def _smoothed(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Exponential moving average; a value that is no number is passed over."""
    smooth, mean, weight = [], 0.0, 0.0
    keep = 1 - 1 / _SMOOTHING_STEPS
    for step, value in points:
        if math.isfinite(value):
            mean, weight = keep * mean + (1 - keep) * value, keep * weight + (1 - keep)
            smooth.append((step, mean / weight))
    return smooth


def _thinned(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Every so many-th point, the last one always."""
    stride = -(-len(points) // _MOST_POINTS)
    return points if stride < 2 else [*points[:-1:stride], points[-1]]


def _matching(series: Series, wanted: tuple[str, ...]) -> list[str]:
    names = [name for want in wanted for name in series if name == want or (want[-1] == "/" and name.startswith(want))]
    return [name for name in names if any(_can_show(name, value) for _, value in series[name])]


def _can_show(name: str, value: float) -> bool:
    return math.isfinite(value) and (value > 0 or not name.startswith("rate/"))


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _save(canvas: Any, path: Path) -> None:
    scratch = path.with_name(f".{path.name}.new")
    with writing(path):
        try:
            canvas.print_png(str(scratch))
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
