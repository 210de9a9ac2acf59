"""`train pretrain`, `train sft`, `train dpo`: one run of one stage."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auricle.errors import UserError

if TYPE_CHECKING:
    from auricle.train.settings import Recipe
    from auricle.train.stage import StageName

app = typer.Typer(
    help="Train a model: pre-training, supervised fine-tuning, preference optimisation.", no_args_is_help=True
)

_OPTIONS = ("preset", "dry-run", "help")
_ARGUMENTS = typer.Argument(
    metavar="RECIPE.yaml | key=value | --key value", help="In any order; what none says is the preset's."
)
_PRESET = typer.Option("--preset", help="What the recipe starts from: qwen2_audio (7B) or small; else by the model.")
_DRY_RUN = typer.Option("--dry-run", help="Show ten decoded batches, what is learnt in colour, and train nothing.")
_CONTEXT = {"ignore_unknown_options": True}
_LARGE = 2048  # a decoder of this width or more learns at the rates of 7B


@app.command("pretrain", context_settings=_CONTEXT)
def pretrain(
    arguments: Annotated[list[str] | None, _ARGUMENTS] = None,
    preset: Annotated[str | None, _PRESET] = None,
    dry_run: Annotated[bool, _DRY_RUN] = False,
) -> None:
    """Stage 1: many tasks with natural-language prompts; every key is also a flag: --steps 500 --seed 1."""
    _train("pretrain", arguments or [], preset, dry_run)


@app.command("sft", context_settings=_CONTEXT)
def sft(
    arguments: Annotated[list[str] | None, _ARGUMENTS] = None,
    preset: Annotated[str | None, _PRESET] = None,
    dry_run: Annotated[bool, _DRY_RUN] = False,
) -> None:
    """Stage 2: audio analysis and voice chat together; every key is also a flag: --steps 500 --seed 1."""
    _train("sft", arguments or [], preset, dry_run)


@app.command("dpo", context_settings=_CONTEXT)
def dpo(
    arguments: Annotated[list[str] | None, _ARGUMENTS] = None,
    preset: Annotated[str | None, _PRESET] = None,
    dry_run: Annotated[bool, _DRY_RUN] = False,
) -> None:
    """Stage 3: answers that were preferred before ones that were not; every key is also a flag: --dpo.beta 0.2."""
    _train("dpo", arguments or [], preset, dry_run)


def _train(stage: "StageName", arguments: Sequence[str], preset: str | None, dry_run: bool) -> None:
    from auricle.train.settings import Recipe

    recipe, overrides = told_apart(arguments, Recipe)
    is_first = int(os.environ.get("RANK", "0")) == 0  # torchrun starts this on every rank
    settings, note = read_recipe(stage, recipe, overrides, preset)
    if is_first:
        typer.echo(note, err=True)
    if dry_run:
        from rich.console import Console

        from auricle.train.dry_run import show_packs

        show_packs(settings, stage, Console())
        return
    from auricle.train.run import run

    model = run(settings, stage)
    if is_first:
        print(model)


def read_recipe(
    stage: "StageName", recipe: Path | None, overrides: Sequence[str], preset: str | None
) -> tuple["Recipe", str]:
    """The settings, and a sentence that says which preset they start from: the one named, else the model's.

    Raises:
        UserError: as `read_settings`; there is no such preset, or no such model.
    """
    from auricle.settings import read_settings
    from auricle.train.stages import preset as preset_of
    from auricle.weights import locate, read_config

    if preset is not None:
        return read_settings(preset_of(stage, preset), recipe, overrides), f"preset {preset}"
    model = read_settings(preset_of(stage, "small"), recipe, overrides).model
    width = read_config(locate(model)).text.width
    fitting = "qwen2_audio" if width >= _LARGE else "small"
    note = f"preset {fitting}, for a decoder of width {width}; --preset names another"
    return read_settings(preset_of(stage, fitting), recipe, overrides), note


def told_apart(arguments: Sequence[str], kind: type) -> tuple[Path | None, list[str]]:
    """The recipe, and every setting as `key=value`: `--data.pack-tokens 2048`, `--steps=9`, `seed=1`, and a bare
    `--watch.tensorboard`, which says true.

    Args:
        arguments: in any order; the recipe is the one that is no flag, no flag's value and no key=value.
        kind: the settings' class; its names are the flags.

    Raises:
        UserError: an unknown flag, a flag without a value, or a second recipe.
    """
    recipes, settings, rest = [], [], list(arguments)
    while rest:
        argument = rest.pop(0)
        key, equals, value = argument.removeprefix("--").partition("=")
        key = key.replace("-", "_")
        if argument.startswith("--"):
            settings.append(f"{key}={value if equals else _value(argument, _known(argument, key, kind), rest)}")
        elif equals and not os.path.isfile(argument):
            settings.append(f"{key}={value}")
        else:
            recipes.append(argument)
    if len(recipes) > 1:
        raise UserError(f"got {len(recipes)} recipes: {', '.join(recipes)}; expected one, and settings as key=value")
    return Path(recipes[0]) if recipes else None, settings


def _known(flag: str, key: str, kind: type) -> object:
    """What a flag's setting may be."""
    from auricle.settings import annotation, names, nearest

    found = annotation(kind, key)
    if found is None:
        near = nearest([*_OPTIONS, *names(kind)], key)
        hint = f"did you mean {' or '.join(f'--{name}' for name in near)}?" if near else "--help names them"
        raise UserError(f"unknown flag {flag}; {hint}")
    return found


def _value(flag: str, hint: object, rest: list[str]) -> str:
    """The value that follows a flag, taken from the rest."""
    if hint is bool and rest[:1] not in (["true"], ["false"]):
        return "true"
    if not rest or rest[0].startswith("--"):
        raise UserError(f"{flag} has no value; give one, for example {flag} 1")
    return rest.pop(0)
