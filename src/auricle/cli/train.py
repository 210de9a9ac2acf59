"""`train pretrain`, `train sft`, `train dpo`: one run of one stage."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auricle.errors import UserError

if TYPE_CHECKING:
    from auricle.train.stage import StageName

app = typer.Typer(
    help="Train a model: pre-training, supervised fine-tuning, preference optimisation.", no_args_is_help=True
)

_RECIPE = typer.Argument(metavar="RECIPE.yaml", help="The settings; without it the preset's.")
_PRESET = typer.Option("--preset", help="What the recipe starts from: qwen2_audio (7B) or small.")
_DRY_RUN = typer.Option("--dry-run", help="Show ten decoded batches, what is learnt in colour, and train nothing.")
_CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command("pretrain", context_settings=_CONTEXT)
def pretrain(
    context: typer.Context,
    recipe: Annotated[Path | None, _RECIPE] = None,
    preset: Annotated[str, _PRESET] = "small",
    dry_run: Annotated[bool, _DRY_RUN] = False,
) -> None:
    """Stage 1: many tasks with natural-language prompts; every key is also a flag: --steps 500 --seed 1."""
    _train("pretrain", recipe, preset, dry_run, context.args)


@app.command("sft", context_settings=_CONTEXT)
def sft(
    context: typer.Context,
    recipe: Annotated[Path | None, _RECIPE] = None,
    preset: Annotated[str, _PRESET] = "small",
    dry_run: Annotated[bool, _DRY_RUN] = False,
) -> None:
    """Stage 2: audio analysis and voice chat together; every key is also a flag: --steps 500 --seed 1."""
    _train("sft", recipe, preset, dry_run, context.args)


@app.command("dpo", context_settings=_CONTEXT)
def dpo(
    context: typer.Context,
    recipe: Annotated[Path | None, _RECIPE] = None,
    preset: Annotated[str, _PRESET] = "small",
    dry_run: Annotated[bool, _DRY_RUN] = False,
) -> None:
    """Stage 3: answers that were preferred before ones that were not; every key is also a flag: --dpo.beta 0.2."""
    _train("dpo", recipe, preset, dry_run, context.args)


def _train(stage: "StageName", recipe: Path | None, preset: str, dry_run: bool, rest: list[str]) -> None:
    if recipe is not None and "=" in str(recipe) and not recipe.exists():  # no file, but the first key=value
        recipe, rest = None, [str(recipe), *rest]
    from auricle.settings import read_settings
    from auricle.train.stages import preset as preset_of

    settings = read_settings(preset_of(stage, preset), recipe, overrides(rest))
    if dry_run:
        from rich.console import Console

        from auricle.train.dry_run import show_packs

        show_packs(settings, stage, Console())
        return
    from auricle.train.run import run

    model = run(settings, stage)
    if int(os.environ.get("RANK", "0")) == 0:  # torchrun starts this on every rank
        print(model)


def overrides(arguments: list[str]) -> list[str]:
    """`--data.pack-tokens 2048`, `--steps=9` and `key=value` as `key=value`.

    Raises:
        UserError: a flag without a value.
    """
    found, rest = [], iter(arguments)
    for argument in rest:
        key, equals, value = argument.removeprefix("--").partition("=")
        if argument.startswith("--") and not equals:
            following = next(rest, None)
            if following is None:
                raise UserError(f"{argument} has no value; give one, for example {argument} 1")
            value = following
        is_setting = equals or argument.startswith("--")
        found.append(f"{key.replace('-', '_')}={value}" if is_setting else argument)
    return found
