"""Pictures of a run: there, of a sensible size, showing what they should and nothing that is not known."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from auricle.errors import UserError
from auricle.train.curves import PANELS, Series, draw_curves, series_of

image = pytest.importorskip("matplotlib.image")


def falling(num: int, top: float) -> list[tuple[int, float]]:
    return [(step, top / step) for step in range(1, num + 1)]


def pixels(path: Path) -> np.ndarray:
    """[height, width, channels] in 0 to 1, as a PNG reader decodes it."""
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    return image.imread(path)


def share_of_color(path: Path, number: int) -> float:
    """How much of the picture is in matplotlib's colour `C{number}`."""
    from matplotlib.colors import to_rgb

    return float((np.abs(pixels(path)[..., :3] - to_rgb(f"C{number}")).max(axis=-1) < 0.02).mean())


def everything() -> Series:
    names = {name for panel in PANELS for _, wanted in panel.axes for name in wanted if not name.endswith("/")}
    return {name: falling(30, 2.0) for name in [*sorted(names), "rate/projector", "rate/decoder"]}


def test_every_panel_is_drawn(tmp_path: Path) -> None:
    assert draw_curves(everything(), tmp_path) == ["loss.png", "heldout.png", "wer.png", "preference.png"]
    for path in tmp_path.iterdir():
        shown = pixels(path)
        assert shown.shape[0] >= 200
        assert shown.shape[1] >= 600
        assert shown.std() > 0.02  # not blank
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".png"] * 4  # nothing half written stays


def test_only_what_is_known_is_drawn(tmp_path: Path) -> None:
    assert draw_curves({"heldout/wer": [(4, 0.5)]}, tmp_path) == ["wer.png"]
    assert draw_curves({"heldout/answer_wer": [(4, 0.5)]}, tmp_path) == ["wer.png"]
    assert draw_curves({}, tmp_path) == []
    assert draw_curves({"loss": [(1, math.nan)]}, tmp_path) == []


def test_each_curve_has_its_colour(tmp_path: Path) -> None:
    draw_curves({"heldout/nll": falling(30, 1.0)}, tmp_path)
    assert share_of_color(tmp_path / "heldout.png", 0) > 1e-4
    assert share_of_color(tmp_path / "heldout.png", 1) == 0
    draw_curves({"heldout/nll": falling(30, 1.0), "heldout/nll_other_audio": falling(30, 2.0)}, tmp_path)
    assert share_of_color(tmp_path / "heldout.png", 1) > 1e-4


def test_other_values_are_another_picture(tmp_path: Path) -> None:
    shown = []
    for top in (1.0, 2.0):
        draw_curves({"loss": falling(100, top)}, tmp_path)
        shown.append(pixels(tmp_path / "loss.png"))
    assert shown[0].shape == shown[1].shape
    assert (shown[0] != shown[1]).any()


def test_a_loss_that_was_no_number_for_a_while_is_drawn_around(tmp_path: Path) -> None:
    points = [(step, math.nan if 40 < step < 60 else math.inf if step == 70 else 2.0) for step in range(1, 101)]
    assert draw_curves({"loss": points}, tmp_path) == ["loss.png"]
    assert share_of_color(tmp_path / "loss.png", 0) > 1e-4


def test_long_runs_take_no_longer(tmp_path: Path) -> None:
    """100,000 steps are thinned; the last one stays: its drop to 0 shows as another picture."""
    steps = np.arange(1, 100_001)
    shown = []
    for last in (1.0, 0.0):
        points = [(int(step), 1.0 + 0.1 * math.sin(step)) for step in steps[:-1]] + [(100_000, last)]
        draw_curves({"rate/projector": points}, tmp_path)
        shown.append(pixels(tmp_path / "loss.png"))
    assert shown[0].shape != shown[1].shape or (shown[0] != shown[1]).any()


def test_lines_become_series() -> None:
    lines = [
        {"step": 1, "loss": 2.0, "at": "2026-01-01T00:00:00+00:00"},
        {"step": 1, "heldout/loss": 3.0},
        {"step": 2, "loss": "nan", "name": None},
    ]
    series = series_of(lines)
    assert series["heldout/loss"] == [(1, 3.0)]
    assert [step for step, _ in series["loss"]] == [1, 2]
    assert math.isnan(series["loss"][1][1])
    assert set(series) == {"loss", "heldout/loss"}


def test_drawing_leaves_matplotlib_as_it_was(tmp_path: Path) -> None:
    import matplotlib

    before, had_pyplot = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
    draw_curves(everything(), tmp_path)
    assert dict(matplotlib.rcParams) == before
    assert had_pyplot or "matplotlib.pyplot" not in sys.modules


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match=r"curves need the matplotlib library; run `pip install 'auricle\[train\]'`"):
        draw_curves(everything(), tmp_path)


def test_a_picture_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write .*loss.png"):
        draw_curves({"loss": falling(3, 1.0)}, tmp_path / "nowhere")
