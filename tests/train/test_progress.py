"""The progress line: on a terminal, on a file, and when nobody reads it any more."""

import io
import math
import os
import pty
import re
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from auricle.train.progress import Progress
from auricle.train.report import StepReport

CPU = torch.device("cpu")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def report(step: int, *, num_steps: int = 100, loss: float = 2.0, seconds: float = 0.5) -> StepReport:
    rates = {"projector": 1e-3, "decoder": 1e-4}
    return StepReport(step, num_steps, {"loss": loss}, rates, 1.0, 2000, 300, 40.0, seconds, 3e9)


def plain(*, log_every: int = 10, peak: float | None = 1e10, **more: Any) -> tuple[Progress, io.StringIO]:
    stream = io.StringIO()
    return Progress(log_every=log_every, device=CPU, peak_flops=peak, stream=stream, **more), stream


def test_a_line_says_how_it_goes() -> None:
    clock = Clock()
    progress, stream = plain(clock=clock)
    clock.now += 0.5
    progress.step(report(1))
    [line] = stream.getvalue().splitlines()
    assert line.startswith("step 1/100  loss 2  0:50 left  4,000 tokens/s  80.0 s audio/s  MFU 60.0%  lr 0.001  ")
    assert re.search(r"[0-9.]+ GiB$", line)


def test_without_a_known_peak_it_says_operations() -> None:
    progress, stream = plain(peak=None)
    progress.step(report(1))
    assert "6.0 GFLOP/s" in stream.getvalue()
    assert "MFU" not in stream.getvalue()


def test_a_file_gets_the_first_every_tenth_and_the_last_line() -> None:
    progress, stream = plain()
    with progress:
        for step in range(1, 26):
            progress.step(report(step, num_steps=25))
    steps = [int(line.split()[1].partition("/")[0]) for line in stream.getvalue().splitlines()]
    assert steps == [1, 10, 20, 25]
    assert "\x1b" not in stream.getvalue()
    assert "\r" not in stream.getvalue()


def test_log_every_0_writes_no_lines() -> None:
    progress, stream = plain(log_every=0)
    with progress:
        for step in range(1, 101):
            progress.step(report(step))
    assert stream.getvalue() == ""


def test_the_loss_is_a_mean_of_late_steps_and_a_loss_that_is_none_shows() -> None:
    progress, stream = plain(log_every=1)
    for step, loss in enumerate([100.0, *[2.0, 4.0] * 10, math.nan, 3.0], start=1):
        progress.step(report(step, loss=loss))
    lines = stream.getvalue().splitlines()
    assert "loss 3  " in lines[20]  # the first is forgotten
    assert "loss nan" in lines[21]
    assert "loss 3" in lines[22]


def test_time_left_counts_what_lies_between_the_steps() -> None:
    clock = Clock()
    progress, stream = plain(log_every=1, clock=clock)
    for step in range(51, 55):  # a resumed run; 0.5 s a step and 9.5 s of measuring after it
        clock.now += 0.5
        progress.step(report(step))
        clock.now += 9.5
    assert "54/100" in stream.getvalue().splitlines()[-1]
    seconds = 46 * (4 * 0.5 + 3 * 9.5) / 4
    assert f"{int(seconds // 60)}:{round(seconds % 60):02} left" in stream.getvalue().splitlines()[-1]


@pytest.mark.parametrize(("hours", "said"), [(0.5, "30:00"), (3, "3:00:00"), (50, "2 d 02:00")])
def test_long_waits_are_said_in_hours_and_days(hours: float, said: str) -> None:
    clock = Clock()
    progress, stream = plain(clock=clock)
    progress.step(report(1, num_steps=2, seconds=hours * 3600))
    assert f"{said} left" in stream.getvalue()


def test_notes_stay() -> None:
    progress, stream = plain()
    progress.note(7, {"heldout/loss": 1.23456, "heldout/wer": 0.5})
    assert stream.getvalue() == "step 7: heldout/loss 1.235, heldout/wer 0.5\n"


def test_markup_in_a_sentence_is_text() -> None:
    progress, stream = plain()
    progress.say("run `pip install 'auricle[train]'` [bold]")
    assert stream.getvalue() == "run `pip install 'auricle[train]'` [bold]\n"


@pytest.mark.parametrize("kind", ["closed", "broken"])
def test_a_stderr_that_is_gone_does_not_end_the_run(kind: str) -> None:
    went_on = False
    reading, writing = os.pipe()
    os.close(reading)
    with suppress(BrokenPipeError), os.fdopen(writing, "w", buffering=1) as stream:
        if kind == "closed":
            stream.close()
        progress = Progress(log_every=1, device=CPU, peak_flops=None, stream=stream)
        for step in range(1, 4):
            progress.step(report(step))
        progress.note(3, {"heldout/loss": 1.0})
        progress.close()
        went_on = True
    assert went_on


TERMINAL = """
import sys, time, torch, warnings
from auricle.train.progress import Progress
from auricle.train.report import StepReport
with Progress(log_every=10, device=torch.device("cpu"), peak_flops=1e10) as progress:
    for step in range(1, 201):
        progress.step(StepReport(step, 200, {"loss": 2.0}, {"decoder": 1e-4}, 1.0, 2000, 300, 40.0, 0.5, 3e9))
        time.sleep(0.002)
        if step == 100:
            progress.note(100, {"heldout/loss": 1.5})
            print("a result")
        if step == 150:
            warnings.warn("careful")
    if sys.argv[1:]:
        raise KeyboardInterrupt
"""


def on_a_terminal(*arguments: str, columns: int) -> tuple[str, str]:
    """stdout, and what a terminal of so many columns was sent on stderr."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": str(columns), "TERM": "xterm-256color", "NO_COLOR": "1"}
    command = [sys.executable, "-c", TERMINAL, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment, text=True) as process:
        os.close(theirs)
        sent: list[bytes] = []

        def drain() -> None:
            try:
                while part := os.read(ours, 4096):
                    sent.append(part)
            except OSError:
                pass  # Linux says so at the end of a pseudo-terminal

        reader = threading.Thread(target=drain)
        reader.start()
        stdout, _ = process.communicate(timeout=120)
        reader.join(timeout=120)
    os.close(ours)
    return stdout, b"".join(sent).decode()


@pytest.mark.skipif(not Path("/dev/ptmx").exists(), reason="needs pseudo-terminals")
@pytest.mark.parametrize("columns", [200, 60])
def test_on_a_terminal_one_line_moves_and_the_last_state_stays(columns: int) -> None:
    stdout, sent = on_a_terminal(columns=columns)
    assert stdout == "a result\n"  # untouched
    shown = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", part).strip() for part in re.split(r"[\r\n]+", sent)]
    shown = [line for line in shown if line]
    assert "step 100: heldout/loss 1.5" in shown
    assert [line for line in shown if line.endswith("UserWarning: careful")]
    assert not [line for line in shown if line.startswith("step") and "careful" in line]
    assert shown[-1].startswith("step 200/200  loss 2  0:00 left")
    assert ("MFU" in shown[-1]) == (columns == 200)
    assert all(len(line) < columns for line in shown)
    assert 2 < len(shown) < 60  # redrawn at most ten times a second, not at every step
    assert sent.count("\x1b[?25l") == sent.count("\x1b[?25h")  # the cursor is back


@pytest.mark.skipif(not Path("/dev/ptmx").exists(), reason="needs pseudo-terminals")
def test_ctrl_c_leaves_the_terminal_clean() -> None:
    _, sent = on_a_terminal("stop", columns=100)
    before, _, after = sent.partition("Traceback")
    assert after
    assert before.count("\x1b[?25l") == before.count("\x1b[?25h")
    assert before.rstrip(" ").endswith("\n") or before.endswith("\x1b[?25h")
