"""A run from wherever it stands to its end: the model on its device, the newest checkpoint, the loop."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch

from auricle.data.stream import Step
from auricle.extend import add_lora, recompute, train_rounded
from auricle.model import Qwen2Audio
from auricle.train.checkpoint import Checkpoints, Point, read_point
from auricle.train.distributed import Ranks, settle
from auricle.train.loop import Training, train
from auricle.train.objective import Objective
from auricle.train.optimizer import make_optimizer, movable
from auricle.train.report import Listener
from auricle.train.resume import check_same, plain_recipe
from auricle.train.settings import Recipe
from auricle.train.stage import StageName
from auricle.train.trainee import Trainee

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Steps(Protocol):
    """What `data.stream.Stream` does."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on behind the step that carried this state."""
        ...

    def __iter__(self) -> Generator[Step, None, None]:
        """Steps, until closed."""
        ...


@dataclass(frozen=True, slots=True)
class Start:
    """Where a run goes on: its newest whole checkpoint, or none at the beginning."""

    point: Point
    checkpoint: Path | None


def find_start(recipe: Recipe, stage: StageName, checkpoints: Checkpoints) -> Start:
    """All ranks together.

    Raises:
        UserError: the folder holds a run with other settings.
    """
    now = plain_recipe(stage, recipe)
    newest = checkpoints.newest()
    if newest is None:
        return Start(Point(0, {}, [], now), None)
    point = read_point(newest)
    check_same(recipe.out, point.recipe, now)
    return Start(replace(point, recipe=now), newest)


def extend_model(model: Qwen2Audio, recipe: Recipe) -> None:
    """Change a model as read: rounding, adapters, recomputed activations."""
    if recipe.rounded_bits is not None:
        train_rounded(model.language_model.model.layers, bits=recipe.rounded_bits)
    if recipe.lora is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            add_lora(model, recipe.lora)
    recompute(model, recipe.checkpointing)


def master_names(model: Qwen2Audio, recipe: Recipe) -> frozenset[str]:
    """The parameters that move in some phase; they are held in float32."""
    names = [name for name, _ in model.named_parameters()]
    return frozenset(movable(names, recipe.phases, num_layers=model.config.audio.num_layers))


def make_trainee(model: Qwen2Audio, recipe: Recipe, ranks: Ranks) -> Trainee:
    """A model as read, on the CPU -> extended, in the run's dtypes, on its device, in shards."""
    extend_model(model, recipe)
    model.requires_grad_(False)
    trainee = Trainee(model)
    settle(trainee, ranks, master_names(model, recipe), DTYPES[recipe.dtype])
    return trainee.train()


def learn(
    recipe: Recipe,
    ranks: Ranks,
    start: Start,
    checkpoints: Checkpoints,
    *,
    trainee: Trainee,
    objective: Objective,
    stream: Steps,
    listeners: Sequence[Listener],
    watch: Callable[[int], None],
    asked_to_stop: Callable[[], bool],
) -> Point:
    """Go on from the start to the recipe's last step, or until asked to stop; where the run stands then."""
    masters = master_names(trainee.model, recipe)
    parameters = {name: parameter for name, parameter in trainee.model.named_parameters() if name in masters}
    optimizer = make_optimizer(parameters, recipe.optimizer)
    if start.checkpoint is not None:
        checkpoints.restore(start.checkpoint, parameters, optimizer)
        stream.load_state(start.point.stream)
    if start.point.step == recipe.steps:
        return start.point
    training = Training(
        recipe=recipe,
        ranks=ranks,
        trainee=trainee,
        parameters=parameters,
        optimizer=optimizer,
        objective=objective,
        listeners=listeners,
        watch=watch,
        save=lambda point: checkpoints.write(point, parameters, optimizer),
        asked_to_stop=asked_to_stop,
    )
    with closing(iter(stream)) as steps:
        return train(training, steps, start.point)
