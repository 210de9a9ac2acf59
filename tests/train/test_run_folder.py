"""A run folder: what is written, what a kill, a resumed run or a full disk leave of it."""

import json
import math
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from auricle.data.settings import DataSettings, SourceSettings
from auricle.errors import UserError
from auricle.train.answering import HeldoutAnswer
from auricle.train.boards import TensorBoard, Wandb
from auricle.train.environment import git_revision
from auricle.train.lines import Lines, replace_text
from auricle.train.report import StepReport
from auricle.train.run_folder import RunFolder
from auricle.train.settings import PhaseSettings, Recipe, WatchSettings

TIMES = ("at", "seconds")


def report(step: int, *, refused: tuple[str, ...] = (), **logged: float) -> StepReport:
    logged = logged or {"loss": 3.0 / step, "loss/asr": 3.1 / step}
    rates = {"projector": 1e-3 / step, "decoder": 1e-4 / step}
    return StepReport(step, 20, logged, rates, 0.5, 4000 + step, 700, 31.5, 0.25 + step, 1.5e12, refused)


def folder(out: Path, *, step: int = 0, **recipe: Any) -> RunFolder:
    return RunFolder(
        out, Recipe(out=out, steps=20, **recipe), stage="sft", data={"hours": {"asterisk": 0.4}}, step=step
    )


def said(hypothesis: str) -> HeldoutAnswer:
    return HeldoutAnswer("a|b.wav", "What is\nsaid?", "one two", hypothesis, "asr")


def run(out: Path, *, first: int = 0, last: int, every: int = 4) -> RunFolder:
    """Steps first + 1 to last; every so many steps something is measured."""
    made = folder(out, step=first)
    for step in range(first + 1, last + 1):
        made.step(report(step, refused=(f"clip {step} is torn",) if step % 5 == 0 else ()))
        if step % every == 0:
            made.note(step, {"heldout/loss": 2.0 / step, "heldout/wer": 1.5 - step / 20, "heldout/gap": step / 100})
            made.answers(step, [said(f"one {step}")])
    return made


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Strictly one JSON object a line, times taken out."""
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n") or not text
    return [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in text.splitlines()]


@contextmanager
def full_disk(num_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes: the system writes what fits, then refuses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes a second; test_the_index_sums_up does it."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)


def test_every_value_of_every_step_is_a_line(tmp_path: Path) -> None:
    run(tmp_path / "run", last=3)
    line = lines_of(tmp_path / "run/metrics.jsonl")[1]
    assert line == {
        "step": 2,
        "num_steps": 20,
        "loss": 1.5,
        "loss/asr": 1.55,
        "rate/projector": 5e-4,
        "rate/decoder": 5e-5,
        "grad_norm": 0.5,
        "tokens": 4002,
        "supervised": 700,
        "audio_s": 31.5,
        "flops": 1.5e12,
        "refused": 0,
    }


def test_what_json_has_not_is_written_so_that_float_reads_it(tmp_path: Path) -> None:
    made = folder(tmp_path)
    made.step(report(1, loss=math.nan, peak=math.inf, low=-math.inf))
    [line] = lines_of(tmp_path / "metrics.jsonl")
    assert math.isnan(float(line["loss"]))
    assert (float(line["peak"]), float(line["low"])) == (math.inf, -math.inf)


@pytest.mark.usefixtures("no_curves")
def test_a_resumed_run_equals_an_unbroken_one(tmp_path: Path) -> None:
    run(tmp_path / "whole", last=20)
    run(tmp_path / "broken", last=13)  # killed at 13, its newest checkpoint is of step 8
    run(tmp_path / "broken", first=8, last=20)
    for name in ("metrics.jsonl", "answers.jsonl", "refused.jsonl"):
        whole, broken = lines_of(tmp_path / "whole" / name), lines_of(tmp_path / "broken" / name)
        assert whole == broken
        assert whole
    pages = [(tmp_path / name / "answers.md").read_text() for name in ("whole", "broken")]
    assert pages[0] == pages[1]


@pytest.mark.usefixtures("no_curves")
def test_a_run_from_the_start_forgets_an_earlier_one_in_the_same_folder(tmp_path: Path) -> None:
    run(tmp_path, last=5).note(0, {})
    first = folder(tmp_path)
    first.note(0, {"heldout/loss": 4.0})  # before the first step; killed before the first checkpoint
    run(tmp_path, last=3)
    assert [line["step"] for line in lines_of(tmp_path / "metrics.jsonl")] == [1, 2, 3]


@given(step=st.integers(0, 12), torn=st.integers(1, 400))
def test_wherever_a_kill_tears_the_file_it_is_repaired(
    tmp_path_factory: pytest.TempPathFactory, step: int, torn: int
) -> None:
    path = tmp_path_factory.mktemp("torn") / "metrics.jsonl"
    lines = Lines(path)
    for number in range(1, 11):
        lines.append({"step": number, "loss": 1 / number, "note": "é" * number})
    whole = path.read_bytes()
    path.write_bytes(whole[: max(0, len(whole) - torn)])
    num_left = path.read_bytes().count(b"\n")
    lines.cut(step)
    assert path.read_bytes() == b"".join(whole.splitlines(keepends=True)[: min(step, num_left)])
    lines.append({"step": 99})
    assert lines.read()[-1] == {"step": 99}


@pytest.mark.parametrize(
    "tail", [b'{"step": 3, "lo', b"\x00\x00\x00\x00\n", b"[1, 2]\n", b'{"loss": 3}\n', b"\xff\xfe\n"]
)
def test_a_line_that_is_none_ends_the_file(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n' + tail)
    lines = Lines(path)
    assert [line["step"] for line in lines.read()] == [1, 2]
    lines.cut(10)
    assert path.read_bytes() == b'{"step": 1}\n{"step": 2}\n'


def test_a_killed_process_leaves_every_line_it_had_written(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from auricle.train.lines import Lines\n"
        "lines = Lines(Path(sys.argv[1]))\n"
        "for step in range(1, 51): lines.append({'step': step})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "metrics.jsonl"
    done = subprocess.run([sys.executable, "-c", code, str(path)], timeout=120)
    assert done.returncode == -9
    assert [line["step"] for line in Lines(path).read()] == list(range(1, 51))


def test_a_full_disk_is_a_sentence_and_leaves_whole_lines(tmp_path: Path) -> None:
    made = run(tmp_path, last=3)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    with (
        full_disk(len(before) + 40),
        pytest.raises(UserError, match=r"cannot write .*metrics.jsonl: .*; what was written"),
    ):
        made.step(report(4))
    assert (tmp_path / "metrics.jsonl").read_bytes() == before
    made.step(report(4))
    assert [line["step"] for line in lines_of(tmp_path / "metrics.jsonl")] == [1, 2, 3, 4]


def test_a_full_disk_keeps_the_old_page(tmp_path: Path) -> None:
    path = tmp_path / "index.md"
    replace_text(path, "old")
    with full_disk(10), pytest.raises(UserError, match="cannot write"):
        replace_text(path, "new " * 100)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["index.md"]


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file/run: Not a directory"):
        folder(tmp_path / "file/run")


def test_the_recipe_is_whole_and_reads_back(tmp_path: Path) -> None:
    phases = (PhaseSettings(0.2, projector=1e-3), PhaseSettings(1.0, decoder=1e-4, encoder_layers="step by step"))
    data = DataSettings(train=(SourceSettings(Path("a/train.jsonl"), 2.5, "asr"),))
    folder(tmp_path, phases=phases, data=data, watch=WatchSettings(every=7))
    read = yaml.safe_load((tmp_path / "recipe.yaml").read_text())
    assert read["phases"][1]["encoder_layers"] == "step by step"
    assert read["data"]["train"] == [{"path": "a/train.jsonl", "weight": 2.5, "task": "asr"}]
    assert read["watch"]["every"] == 7
    assert read["lora"] is None
    assert list(read) == list(Recipe.__dataclass_fields__)


@pytest.mark.usefixtures("no_curves")
def test_data_and_every_start_are_told(tmp_path: Path) -> None:
    run(tmp_path, last=8)
    run(tmp_path, first=4, last=6)
    assert json.loads((tmp_path / "data.json").read_text()) == {"hours": {"asterisk": 0.4}}
    starts = json.loads((tmp_path / "environment.json").read_text())["starts"]
    assert [start["from_step"] for start in starts] == [0, 4]
    assert starts[0]["command"] == sys.argv
    assert starts[0]["versions"]["torch"]
    assert starts[0]["machine"]["cores"] >= 1


def git(directory: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", "-C", str(directory), *settings, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_revision_is_that_of_a_checkout_which_tracks_the_file(tmp_path: Path) -> None:
    tracked, other = tmp_path / "package.py", tmp_path / "venv/package.py"
    other.parent.mkdir()
    tracked.write_text("1")
    assert git_revision(tracked) is None  # no checkout at all
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "package.py")
    git(tmp_path, "commit", "-qm", "first")
    assert git_revision(tracked) == {"revision": git(tmp_path, "rev-parse", "HEAD"), "dirty": False}
    other.write_text("2")  # installed into a virtual environment inside somebody's checkout
    assert git_revision(other) is None
    tracked.write_text("3")
    assert git_revision(tracked) == {"revision": git(tmp_path, "rev-parse", "HEAD"), "dirty": True}


def test_without_git_the_revision_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_revision(Path(__file__)) is None
    folder(tmp_path / "run")
    assert json.loads((tmp_path / "run/environment.json").read_text())["starts"][0]["git"] is None


def test_the_index_sums_up(tmp_path: Path) -> None:
    made = run(tmp_path, last=16)
    page = (tmp_path / "index.md").read_text()
    assert page.startswith("# sft of mini\n")
    assert "| steps | 16 of 20 |" in page
    assert "| word error rate | 70.0% at step 16 |" in page
    made.note(17, {"heldout/wer": 0.9})
    old = (tmp_path / "wer.png").read_bytes()
    made.finish(Path("run/model"))
    page = (tmp_path / "index.md").read_text()
    assert "| word error rate | 90.0% at step 17; best 70.0% at step 16 |" in page
    assert "| model | `run/model` |" in page
    assert (tmp_path / "wer.png").read_bytes() != old
    for name in ("loss.png", "heldout.png", "wer.png"):
        assert f"![{name}]({name})" in page
        assert (tmp_path / name).exists()
    assert "preference.png" not in page
    for name in ("recipe.yaml", "metrics.jsonl", "answers.md", "refused.jsonl"):
        assert f"({name})" in page


@pytest.mark.usefixtures("no_curves")
def test_the_index_says_where_the_run_went_on(tmp_path: Path) -> None:
    run(tmp_path, last=8)
    run(tmp_path, first=4, last=5).finish()
    page = (tmp_path / "index.md").read_text()
    assert "| went on from step | 4 |" in page
    assert "| steps | 5 of 20 |" in page


@pytest.mark.usefixtures("no_curves")
def test_answers_read_as_a_story_of_each_recording(tmp_path: Path) -> None:
    run(tmp_path, last=8)
    page = (tmp_path / "answers.md").read_text()
    assert page.count("## a\\|b.wav") == 1
    assert "asked: What is said?" in page
    assert page.index("| 4 | one 4 |") < page.index("| 8 | one 8 |")


def test_without_matplotlib_the_run_goes_on_and_says_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    sentences: list[str] = []
    made = RunFolder(tmp_path, Recipe(steps=20), stage="sft", data={}, say=sentences.append)
    for step in (1, 2):
        made.step(report(step))
        made.note(step, {"heldout/loss": 1.0})
    made.finish()
    assert sentences == ["curves need the matplotlib library; run `pip install 'auricle[train]'`"]
    assert len(lines_of(tmp_path / "metrics.jsonl")) == 4


def test_tensorboard_holds_what_metrics_do_and_takes_back_what_is_done_again(tmp_path: Path) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for first, last in ((0, 6), (3, 5)):
        board = TensorBoard(tmp_path, step=first)
        for step in range(first + 1, last + 1):
            board.step(report(step))
        board.note(last, {"heldout/loss": 0.25})
        board.close()
    events = reading.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    values = [(event.step, pytest.approx(event.value)) for event in events.Scalars("train/loss")]
    assert values == [(step, 3.0 / step) for step in (1, 2, 3, 4, 5)]
    assert [event.step for event in events.Scalars("rate/projector")] == [1, 2, 3, 4, 5]
    assert events.Scalars("speed/tokens_per_s")[0].value == pytest.approx(4001 / 1.25)
    assert events.Scalars("heldout/loss")[-1].step == 5


@pytest.mark.parametrize(
    ("module", "make", "sentence"),
    [
        (
            "torch.utils.tensorboard.writer",
            TensorBoard,
            r"watch.tensorboard needs tensorboard; run `pip install 'auricle\[train\]'`",
        ),
        ("wandb", lambda out: Wandb(out, {}), r"watch.wandb needs wandb; run `pip install 'auricle\[wandb\]'`"),
    ],
)
def test_a_missing_board_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, make: Callable[[Path], object], sentence: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=sentence):
        make(tmp_path)


class FakeRun:
    """The few names of wandb that are used; test_wandb_offline runs the real one."""

    def __init__(self) -> None:
        self.id, self.logged, self.asked, self.finished = "r1", [], {}, False

    def init(self, **asked: Any) -> "FakeRun":
        self.asked = asked
        return self

    def log(self, values: dict[str, float], *, step: int) -> None:
        self.logged.append((step, values))

    def finish(self) -> None:
        self.finished = True


def test_wandb_goes_on_with_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRun()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    board = Wandb(tmp_path, {"steps": 20})
    assert (fake.asked["id"], fake.asked["config"]) == (None, {"steps": 20})
    board.step(report(1))
    board.note(1, {"heldout/loss": 2.0})
    board.close()
    assert [step for step, _ in fake.logged] == [1, 1]
    assert fake.logged[0][1]["loss"] == 3.0
    assert fake.finished
    Wandb(tmp_path, {})
    assert (fake.asked["id"], fake.asked["resume"]) == ("r1", "allow")
