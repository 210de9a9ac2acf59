"""The small run of the recipe, on real recordings: three stages, each of which learns to hear."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = Path(__file__).parents[2] / "recipes" / "mini"
pytestmark = [pytest.mark.slow, pytest.mark.mini]


@pytest.fixture(scope="module")
def out(tmp_path_factory, data):
    """The run's folder. Asterisk's prompts are there already: the fixture `data` has fetched them."""
    folder = tmp_path_factory.mktemp("three-stages")
    (folder / "packages").symlink_to(data.parent / "packages")
    environment = os.environ | {"PYTHON": sys.executable}
    subprocess.run(["bash", RECIPE / "run.sh", "--tiny", "--out", folder], check=True, env=environment)
    return folder


def notes(folder: Path) -> list[dict]:
    """What was measured beside the steps, oldest first."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "heldout/loss" in line]


@pytest.mark.parametrize("stage", ["pretrain", "sft", "dpo"])
def test_the_held_out_loss_falls_and_needs_the_sound(out, stage):
    first, *_, last = notes(out / stage)
    assert last["heldout/loss"] < first["heldout/loss"]
    assert last["heldout/nll"] <= 0.8 * last["heldout/nll_other_audio"]
    for file in ("recipe.yaml", "environment.json", "data.json", "model/config.json"):
        assert (out / stage / file).exists(), file


def test_preferences_are_heard(out):
    last = notes(out / "dpo")[-1]
    assert last["heldout/rewards/accuracies"] > 0.8
    assert last["silent/rewards/accuracies"] <= 0.6
