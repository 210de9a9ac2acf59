"""Checkpoints: whole or not at all, checked before they are believed, harmless when the disk is full."""

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
import toy

from auricle.errors import UserError
from auricle.train import checkpoint as checkpoint_module
from auricle.train.checkpoint import Checkpoints, Point, read_point
from auricle.train.distributed import Ranks
from auricle.train.optimizer import Parameters, make_optimizer
from auricle.train.resume import check_same, locked, plain_recipe
from auricle.train.settings import OptimizerSettings, PhaseSettings, Recipe

ALONE = Ranks(0, 1, torch.device("cpu"))
Trained = tuple[dict[str, torch.nn.Parameter], torch.optim.AdamW]


def trained(seed: int = 0, *, num_steps: int = 3) -> Trained:
    """A few parameters after some steps; the last has never moved."""
    torch.manual_seed(seed)
    names = ("multi_modal_projector.linear.weight", "language_model.model.norm.weight", "audio_tower.conv1.weight")
    parameters = {name: torch.nn.Parameter(torch.randn(5, 3)) for name in names}
    optimizer = make_optimizer(parameters, OptimizerSettings())
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    for step in range(num_steps):
        for name in names[: 2 if step else 1]:
            parameters[name].grad = torch.randn(5, 3)
        optimizer.step()
        optimizer.zero_grad()
    return parameters, optimizer


def point(step: int) -> Point:
    return Point(step, {"next": step, "open": [[1, 2]], "share": 0.1}, ["m:3"], {"stage": "sft", "steps": 9})


def copy_of(parameters: Parameters, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    states = {
        name: {key: value.clone() for key, value in optimizer.state[one].items()} for name, one in parameters.items()
    }
    return {name: (one.detach().clone(), states[name]) for name, one in parameters.items()}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_comes_back_is_what_was_written(tmp_path: Path):
    parameters, optimizer = trained()
    before = copy_of(parameters, optimizer)
    checkpoints = Checkpoints(tmp_path, ALONE, keep=2)
    assert checkpoints.newest() is None
    checkpoints.write(point(500), parameters, optimizer)
    path = checkpoints.newest()
    assert path == tmp_path / "checkpoints" / "step-000500"
    assert read_point(path) == point(500)
    others, fresh = trained(seed=1, num_steps=0)
    checkpoints.restore(path, others, fresh)
    assert others["audio_tower.conv1.weight"] not in fresh.state
    for name, (tensor, state) in before.items():
        assert torch.equal(others[name], tensor)
        assert fresh.state[others[name]].keys() == state.keys()
        for key, value in state.items():
            assert torch.equal(fresh.state[others[name]][key], value)
    assert [int(state["step"]) for _, state in before.values() if state] == [3, 2]


def test_the_newest_are_kept(tmp_path: Path):
    parameters, optimizer = trained()
    checkpoints = Checkpoints(tmp_path, ALONE, keep=2)
    checkpoints.newest()
    for step in (5, 10, 1_000_000, 1_000_005):
        checkpoints.write(point(step), parameters, optimizer)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-1000000", "step-1000005"]


def damage(path: Path, how: str) -> None:
    largest = max(path.iterdir(), key=lambda file: file.stat().st_size)
    match how:
        case "cut":
            os.truncate(largest, largest.stat().st_size // 2)
        case "changed":
            content = bytearray(largest.read_bytes())
            content[len(content) // 2] ^= 1
            largest.write_bytes(content)
        case "a file is missing":
            largest.unlink()
        case "no manifest":
            (path / "manifest.json").unlink()
        case "half a manifest":
            (path / "manifest.json").write_text('{"state.json": [')
        case "other state":
            (path / "state.json").write_text(json.dumps({"step": 7}))


DAMAGES = ["cut", "changed", "a file is missing", "no manifest", "half a manifest", "other state"]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_one_is_passed_over_with_a_warning_and_written_anew(tmp_path: Path, how: str):
    parameters, optimizer = trained()
    checkpoints = Checkpoints(tmp_path, ALONE, keep=1)
    checkpoints.newest()
    for step in (5, 10):
        Checkpoints(tmp_path, ALONE, keep=2).write(point(step), parameters, optimizer)
    damage(tmp_path / "checkpoints" / "step-000010", how)
    with pytest.warns(UserWarning, match=r"step-000010 is damaged \(.*\) and passed over"):
        assert checkpoints.newest() == tmp_path / "checkpoints" / "step-000005"
    checkpoints.write(point(7), parameters, optimizer)
    with pytest.warns(UserWarning, match="is damaged"):
        assert checkpoints.newest() == tmp_path / "checkpoints" / "step-000007"
    checkpoints.write(point(10), parameters, optimizer)
    assert checkpoints.newest() == tmp_path / "checkpoints" / "step-000010"


def test_what_a_kill_left_is_taken_away(tmp_path: Path):
    parameters, optimizer = trained()
    checkpoints = Checkpoints(tmp_path, ALONE, keep=2)
    checkpoints.newest()
    checkpoints.write(point(5), parameters, optimizer)
    shutil.copytree(tmp_path / "checkpoints" / "step-000005", tmp_path / "checkpoints" / ".step-000010")
    assert checkpoints.newest() == tmp_path / "checkpoints" / "step-000005"
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000005"]


NO_SPACE = r"no space for the checkpoint .*step-000010: earlier ones are as they were; make room and start the same"


def fails_and_loses_nothing(folder: Path, sentence: str, big: int = 1) -> None:
    parameters, optimizer = trained()
    checkpoints = Checkpoints(folder, ALONE, keep=1)
    before = tree(folder)
    parameters["language_model.lm_head.weight"] = torch.nn.Parameter(torch.zeros(big))
    with pytest.raises(UserError, match=sentence):
        checkpoints.write(point(10), parameters, optimizer)
    assert tree(folder) == before
    assert not list((folder / "checkpoints").glob(".step-*"))
    assert checkpoints.newest() == folder / "checkpoints" / "step-000005"


def with_one(folder: Path) -> Path:
    parameters, optimizer = trained()
    checkpoints = Checkpoints(folder, ALONE, keep=1)
    checkpoints.newest()
    checkpoints.write(point(5), parameters, optimizer)
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_foreseen(small_disk: Path, monkeypatch: pytest.MonkeyPatch):
    with_one(small_disk)
    monkeypatch.setattr(dcp, "save", None)  # nothing is begun
    fails_and_loses_nothing(small_disk, NO_SPACE, big=1_000_000)


@pytest.mark.parametrize("left_bytes", [0, 2_000, 100_000])
def test_a_full_disk_found_out_while_writing(small_disk: Path, monkeypatch: pytest.MonkeyPatch, left_bytes: int):
    with_one(small_disk)
    (small_disk / "others").write_bytes(b"x" * max(0, shutil.disk_usage(small_disk).free - left_bytes - 8192))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 0, 1 << 40))
    fails_and_loses_nothing(small_disk, NO_SPACE, big=200_000)


def test_a_limit_of_a_file_s_size(tmp_path: Path):
    with_one(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        fails_and_loses_nothing(tmp_path, NO_SPACE, big=200_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("writes", range(1, 6))
def test_any_write_may_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int):
    """The first, second ... of: the folder, the tensors, the state, the manifest, the rename."""
    with_one(tmp_path)
    calls = iter(range(1, 100))

    def failing(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if next(calls) == writes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(checkpoint_module, "_begin", failing(checkpoint_module._begin))
    monkeypatch.setattr(dcp.FileSystemWriter, "write_data", failing(dcp.FileSystemWriter.write_data))
    monkeypatch.setattr(checkpoint_module, "_write_json", failing(checkpoint_module._write_json))
    monkeypatch.setattr(Path, "rename", failing(Path.rename))
    fails_and_loses_nothing(tmp_path, NO_SPACE)


def test_another_error_is_told_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with_one(tmp_path)

    def fail(scratch: Path, num_bytes: int) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(scratch))

    monkeypatch.setattr(checkpoint_module, "_begin", fail)
    fails_and_loses_nothing(tmp_path, "cannot write the checkpoint .*Permission denied.*; mend that and start the same")


def test_a_run_goes_on_with_its_own_settings_only(tmp_path: Path):
    recipe = toy.recipe_of(tmp_path, {})
    stored = plain_recipe("sft", recipe)
    assert json.loads(json.dumps(stored)) == stored
    may = replace(
        recipe,
        out=tmp_path / "elsewhere",
        device="cuda",
        checkpointing="full",
        save=replace(recipe.save, every=1, keep=9),
        watch=replace(recipe.watch, every=1, tensorboard=True),
        data=replace(recipe.data, num_workers=7, max_refused=1),
    )
    check_same(tmp_path, stored, plain_recipe("sft", may))
    changes: dict[str, Recipe] = {
        "steps was 12, is 13": replace(recipe, steps=13),
        "seed was 0, is 1": replace(recipe, seed=1),
        "model was mini, is other": replace(recipe, model="other"),
        "data.packs_per_step was 2, is 3": replace(recipe, data=replace(recipe.data, packs_per_step=3)),
        "phases.1.decoder was 0.003, is 0.0": replace(
            recipe, phases=(recipe.phases[0], replace(recipe.phases[1], decoder=0.0), recipe.phases[2])
        ),
        "phases.3.until was None, is 1.0": replace(recipe, phases=(*recipe.phases, PhaseSettings(projector=1))),
        "optimizer.clip was 1.0, is 2.0": replace(recipe, optimizer=OptimizerSettings(clip=2.0)),
    }
    for sentence, changed in changes.items():
        with pytest.raises(UserError) as caught:
            check_same(tmp_path, stored, plain_recipe("sft", changed))
        assert sentence in str(caught.value)
        assert "holds a run with other settings" in str(caught.value)
        assert "keep them to go on with it, or name another folder with out=DIR" in str(caught.value)
    with pytest.raises(UserError, match="stage was sft, is dpo"):
        check_same(tmp_path, stored, plain_recipe("dpo", recipe))


ASK_TWICE = """
import sys
from pathlib import Path
from auricle.errors import UserError
from auricle.train.resume import locked
for _ in range(2):
    try:
        with locked(Path(sys.argv[1])):
            print("mine", flush=True)
    except UserError as error:
        print(error, flush=True)
    sys.stdin.readline()
"""


def test_a_folder_belongs_to_one_process(tmp_path: Path):
    command = [sys.executable, "-c", ASK_TWICE, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        with locked(tmp_path):
            said = other.stdout.readline()
            assert f"{tmp_path} is in use by another run (process {os.getpid()}); wait for it" in said
        print(file=other.stdin, flush=True)
        assert other.stdout.readline() == "mine\n"
        other.communicate("\n")


def test_a_folder_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=r"cannot write .*file/run: .*; name another folder with out=DIR"),
        locked(tmp_path / "file" / "run"),
    ):
        pass
