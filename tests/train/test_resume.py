"""Killed and started again, a run says to the last bit what an unbroken one says (CPU, float32, one rank)."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import toy

from auricle.train.settings import Recipe

STEPS = 12
SETTINGS = {"steps": STEPS, "save": {"every": 4}}


def start(out: Path, kill: str = "") -> subprocess.Popen:
    command = [sys.executable, toy.__file__, str(out), json.dumps(SETTINGS), kill]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: subprocess.Popen) -> tuple[int, str]:
    out, _ = process.communicate(timeout=120)
    return process.returncode, out


def recipe(out: Path) -> Recipe:
    return toy.recipe_of(out, json.loads(json.dumps(SETTINGS)))


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """As the killed processes have: another number of threads sums in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The metrics of a run of one piece, losses and norms to the last bit."""
    out = tmp_path_factory.mktemp("unbroken")
    toy.toy_run(recipe(out))
    return (out / "metrics.jsonl").read_text()


@pytest.mark.parametrize("half", [0, 1])
def test_killed_at_a_random_step(tmp_path: Path, unbroken: str, half: int):
    killed_at(tmp_path, unbroken, random.SystemRandom().randint(half * STEPS // 2 + 1, (half + 1) * STEPS // 2))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, STEPS + 1, 3))
def test_killed_at_every_third_step(tmp_path: Path, unbroken: str, number: int):
    killed_at(tmp_path, unbroken, number)


def killed_at(tmp_path: Path, unbroken: str, number: int) -> None:
    assert finish(start(tmp_path, f"step:{number}"))[0] == -signal.SIGKILL, f"step {number}"
    assert (tmp_path / "metrics.jsonl").read_text() == "".join(unbroken.splitlines(keepends=True)[:number])
    reports = toy.toy_run(recipe(tmp_path))
    assert len(reports) == STEPS - (number - 1) // 4 * 4, f"step {number}"  # not from the beginning, where it was saved
    assert (tmp_path / "metrics.jsonl").read_text() == unbroken, f"step {number}"


def test_killed_in_the_midst_of_a_checkpoint(tmp_path: Path, unbroken: str):
    assert finish(start(tmp_path, "write:2"))[0] == -signal.SIGKILL
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [".step-000008", "step-000004"]
    assert len(toy.toy_run(recipe(tmp_path))) == 8
    assert (tmp_path / "metrics.jsonl").read_text() == unbroken
    assert not list((tmp_path / "checkpoints").glob(".*"))


def test_a_damaged_newest_checkpoint_costs_steps_and_nothing_else(tmp_path: Path, unbroken: str):
    toy.toy_run(recipe(tmp_path))
    (tmp_path / "checkpoints" / "step-000012" / "state.json").write_text("{}")
    with pytest.warns(UserWarning, match=r"step-000012 is damaged \(state.json is not as it was written\)"):
        assert len(toy.toy_run(recipe(tmp_path))) == 4
    assert (tmp_path / "metrics.jsonl").read_text() == unbroken


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_ends_it_after_the_step_and_nothing_is_lost(tmp_path: Path, unbroken: str, number: signal.Signals):
    process = start(tmp_path, "wait")
    while not (tmp_path / "going").exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    process.send_signal(number)
    code, said = finish(process)
    assert (code, said.split()[:2]) == (0, ["stopped", "at"])
    stopped_at = int(said.split()[2])
    assert stopped_at < STEPS
    assert len(toy.toy_run(recipe(tmp_path))) == STEPS - stopped_at
    assert (tmp_path / "metrics.jsonl").read_text() == unbroken


def test_a_finished_run_is_not_done_again(tmp_path: Path, unbroken: str):
    toy.toy_run(recipe(tmp_path))
    assert toy.toy_run(recipe(tmp_path)) == []
    assert (tmp_path / "metrics.jsonl").read_text() == unbroken
