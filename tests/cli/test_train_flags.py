"""Every key of a recipe is also a flag, in any order, before and after the recipe; the model chooses the preset."""

import json
import shutil
from pathlib import Path

import pytest

from auricle.cli.train import read_recipe, told_apart
from auricle.errors import UserError
from auricle.train.settings import Recipe
from auricle.train.stages import preset
from auricle.weights import locate

MINE = Path("my.yaml")


@pytest.mark.parametrize(
    ("arguments", "recipe", "settings"),
    [
        ([], None, []),
        (["steps=3"], None, ["steps=3"]),
        (["--steps", "3", "--data.pack-tokens=9"], None, ["steps=3", "data.pack_tokens=9"]),
        (["--steps", "3", "my.yaml"], MINE, ["steps=3"]),
        (["my.yaml", "--steps", "3"], MINE, ["steps=3"]),
        (["steps=3", "my.yaml"], MINE, ["steps=3"]),
        (["--out", "folder"], None, ["out=folder"]),
        (["--seed", "-1"], None, ["seed=-1"]),
        (["--lora.targets", "a=b"], None, ["lora.targets=a=b"]),
        (["--phases.1.until", "0.2"], None, ["phases.1.until=0.2"]),
        (["out=a-b"], None, ["out=a-b"]),
        (["--watch.tensorboard", "--steps", "3"], None, ["watch.tensorboard=true", "steps=3"]),
        (["--watch.tensorboard", "my.yaml"], MINE, ["watch.tensorboard=true"]),
        (["--watch.tensorboard", "false", "my.yaml"], MINE, ["watch.tensorboard=false"]),
        (["steps=3", "--watch.wandb"], None, ["steps=3", "watch.wandb=true"]),
    ],
)
def test_recipe_and_settings_are_told_apart(arguments, recipe, settings):
    assert told_apart(arguments, Recipe) == (recipe, settings)


def test_a_recipe_may_lie_in_a_folder_with_a_sign(tmp_path):
    (tmp_path / "lr=1").mkdir()
    file = tmp_path / "lr=1" / "my.yaml"
    file.write_text("steps: 3\n")
    assert told_apart(["seed=1", str(file)], Recipe) == (file, ["seed=1"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--steps"], "--steps has no value; give one, for example --steps 1$"),
        (["--steps", "--seed", "3"], "--steps has no value; give one, for example --steps 1$"),
        (["--dryrun"], r"unknown flag --dryrun; did you mean --dry-run\?"),
        (["--stepz", "3"], r"unknown flag --stepz; did you mean --steps\?"),
        (["--beta", "3"], r"unknown flag --beta; did you mean --dpo.beta\?"),
        (["--lr", "3"], "unknown flag --lr; --help names them$"),
        (["a.yaml", "b.yaml"], "got 2 recipes: a.yaml, b.yaml; expected one, and settings as key=value$"),
    ],
)
def test_what_cannot_be_told_apart_is_named(arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        told_apart(arguments, Recipe)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--steps", "0", "my.yaml"),
        ("my.yaml", "--dry-run", "--steps", "0"),
        ("steps=0", "--preset", "small", "my.yaml"),
        ("--steps", "0", "--dry-run", "my.yaml", "--preset", "small"),
    ],
)
def test_they_stand_in_any_order_on_the_command_line(arguments, tmp_path, recordings, monkeypatch, run_cli):
    monkeypatch.chdir(tmp_path)
    shutil.copy(recordings[0], tmp_path)
    (tmp_path / "my.jsonl").write_text(json.dumps({"audio": recordings[0].name, "text": "a dog"}) + "\n")
    (tmp_path / "my.yaml").write_text("data: {train: [{path: my.jsonl}]}\n")
    code, _, told = run_cli("train", "sft", *arguments)
    assert (code, told.splitlines()[-1]) == (2, "auricle: steps is 0; expected at least 1")


def test_options_keep_their_meaning(run_cli):
    code, printed, _ = run_cli("train", "sft", "--steps", "3", "--help")
    assert code == 0
    assert "--dry-run" in printed
    assert "RECIPE.yaml" in printed
    assert run_cli("train", "sft", "--dryrun")[::2] == (2, "auricle: unknown flag --dryrun; did you mean --dry-run?\n")


def wide(tmp_path: Path, width: int) -> Path:
    """A model's configuration alone, with a decoder of so many numbers to a token."""
    tree = json.loads((locate("mini") / "config.json").read_text())
    tree["text_config"] |= {"hidden_size": width, "num_attention_heads": 16, "num_key_value_heads": 16}
    (tmp_path / "config.json").write_text(json.dumps(tree))
    return tmp_path


def test_the_model_chooses_the_preset(tmp_path):
    settings, note = read_recipe("sft", None, [], None)
    assert settings == preset("sft", "small")
    assert note == "preset small, for a decoder of width 576; --preset names another"
    large = f"model={wide(tmp_path, 2048)}"
    settings, note = read_recipe("sft", None, [large, "steps=3"], None)
    assert (settings.phases, settings.steps) == (preset("sft", "qwen2_audio").phases, 3)
    assert note.startswith("preset qwen2_audio, for a decoder of width 2048")
    assert read_recipe("sft", None, [f"model={wide(tmp_path, 2032)}"], None)[0].phases == preset("sft", "small").phases


def test_a_named_preset_stands_and_no_model_is_looked_for():
    settings, note = read_recipe("dpo", None, ["model=nowhere"], "qwen2_audio")
    assert settings.phases == preset("dpo", "qwen2_audio").phases
    assert note == "preset qwen2_audio"
