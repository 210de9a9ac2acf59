"""Two processes say what one says, from the start and from each other's checkpoints (torchrun, gloo, FSDP2)."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import toy

from auricle.train.distributed import Ranks
from auricle.train.rounds import rounds, with_sound
from auricle.train.settings import Recipe

# Of three packs a step, rank 0 has two and rank 1 has one; in every third step rank 1 hears nothing at all. The second
# phase lets layers in one after another that stood still at the first forward.
SETTINGS: dict[str, Any] = {"steps": 22, "data": {"packs_per_step": 3}, "save": {"every": 2, "keep": 20}}


def recipe(out: Path, **changes: Any) -> Recipe:
    return toy.recipe_of(out, json.loads(json.dumps(SETTINGS | changes)))


def on_two_ranks(out: Path, **changes: Any) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += [toy.__file__, str(out), json.dumps(SETTINGS | changes)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def metrics(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def assert_same_run(mine: list[dict[str, Any]], theirs: list[dict[str, Any]], *, begin: int = 0) -> None:
    """The same samples; losses within 1e-5 at the first step after `begin` and 1e-4 twenty steps later."""
    read = ("step", "tokens", "supervised", "audio_s")
    assert [[line[key] for key in read] for line in mine] == [[line[key] for key in read] for line in theirs]
    gaps = [
        max(abs(float.fromhex(one[key]) - float.fromhex(other[key])) for key in one if key.startswith("loss"))
        for one, other in zip(mine, theirs, strict=True)
    ]
    assert max(gaps[: begin + 1]) < 1e-5
    assert max(gaps[: begin + 20]) < 1e-4


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("one")
    toy.toy_run(recipe(out))
    return out


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("two")
    on_two_ranks(out)
    return out


def forget_after(out: Path, step: int, copy: Path) -> Path:
    shutil.copytree(out, copy)
    for path in (copy / "checkpoints").iterdir():
        if int(path.name.removeprefix("step-")) > step:
            shutil.rmtree(path)
    return copy


def test_two_ranks_say_what_one_says(one: Path, two: Path):
    assert_same_run(metrics(two), metrics(one))
    norms = [[float.fromhex(line["norm"]) for line in metrics(out)] for out in (two, one)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


@pytest.mark.slow
def test_one_rank_goes_on_where_two_stopped(one: Path, two: Path, tmp_path: Path):
    out = forget_after(two, 2, tmp_path / "out")
    assert len(toy.toy_run(recipe(out))) == 20
    assert_same_run(metrics(out), metrics(one), begin=2)


@pytest.mark.slow
def test_two_ranks_go_on_where_one_stopped(one: Path, tmp_path: Path):
    out = forget_after(one, 2, tmp_path / "out")
    on_two_ranks(out)
    assert metrics(out)[:2] == metrics(one)[:2]
    assert_same_run(metrics(out), metrics(one), begin=2)


@pytest.mark.slow
def test_two_ranks_in_half_precision(tmp_path: Path):
    on_two_ranks(tmp_path / "two", dtype="bfloat16")
    toy.toy_run(recipe(tmp_path / "one", dtype="bfloat16"))
    losses = [[float.fromhex(line["loss"]) for line in metrics(tmp_path / name)] for name in ("two", "one")]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_a_rank_without_packs_or_sound_makes_as_many_rounds_as_the_others():
    class Stream(toy.ToyStream):
        def pack(self, step: int, place: int) -> toy.Pack:
            return toy.make_pack(place, with_sound=place != 1)

    device = torch.device("cpu")
    (first, second) = (next(iter(Stream(Ranks(rank, 2, device), 3))) for rank in range(2))
    shares = [list(rounds(step, num_ranks=2, num_mel_bins=toy.NUM_MELS)) for step in (first, second)]
    assert [[part.is_last for part in share] for share in shares] == [[False, True], [False, True]]
    assert all(part.read.inputs.features for share in shares for part in share)
    assert [len(part.learnt.labels) for share in shares for part in share] == [2, 2, 2, 0]
    silent = with_sound(second.packs[0], toy.NUM_MELS)
    model = toy.tiny()
    nlls = [toy.Trainee(model)(pack) for pack in (silent, second.packs[0])]
    assert torch.equal(*nlls)  # silence that nobody hears changes nothing
    alone = list(rounds(second, num_ranks=1, num_mel_bins=toy.NUM_MELS))
    assert [part.read for part in alone] == [*second.packs]
    half = replace(second, packs=(toy.empty_pack(["gone"]), *second.packs))
    assert [part.read for part in rounds(half, num_ranks=1, num_mel_bins=toy.NUM_MELS)] == [*second.packs]
    together = list(rounds(half, num_ranks=2, num_mel_bins=toy.NUM_MELS))
    assert [len(part.learnt.labels) for part in together] == [2, 0]
