"""One run of one stage, from its recipe to a checkpoint directory that every command reads."""

import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from auricle.train.answered import Answered, Counted, on_policy
from auricle.train.boards import TensorBoard, Wandb
from auricle.train.checkpoint import Checkpoints
from auricle.train.distributed import join_ranks
from auricle.train.dpo import DpoObjective
from auricle.train.finished import write_model
from auricle.train.flops import peak_flops
from auricle.train.objective import Objective
from auricle.train.objectives import fingerprint_of, make_objective
from auricle.train.opening import Opened, open_parts, open_run
from auricle.train.precompute import precompute
from auricle.train.progress import Progress
from auricle.train.report import Listener
from auricle.train.resume import locked, plain_recipe
from auricle.train.run_folder import RunFolder
from auricle.train.session import DTYPES, Start, find_start, learn, make_trainee
from auricle.train.settings import Recipe
from auricle.train.stage import StageName
from auricle.train.stopping import stop_requests
from auricle.train.trainee import Trainee
from auricle.train.watch import Watch

__all__ = ["open_run", "run"]


def run(recipe: Recipe, stage: StageName) -> Path:
    """Train from the recipe's start, or from where its folder stands, to its end; the trained model's directory.

    Started by torchrun, every process calls this. SIGTERM and SIGINT end the run after the step in work, with a
    checkpoint and an exit code of 128 and the signal's number.

    Raises:
        UserError: a setting or the data are wrong, the folder is in use or holds another run, there is no space, or
            too much could not be heard.
    """
    with ExitStack() as stack:
        ranks = stack.enter_context(join_ranks(recipe.device))
        opened = open_parts(recipe, stage, ranks)
        if ranks.is_first:
            stack.enter_context(locked(recipe.out))
        checkpoints = Checkpoints(recipe.out, ranks, keep=recipe.save.keep)
        start = find_start(recipe, stage, checkpoints)
        if start.point.step == recipe.steps and (recipe.out / "model").exists():
            return recipe.out / "model"
        audience = _audience(opened, start.point.step, stack)
        stack.enter_context(torch.random.fork_rng(devices=[ranks.device] if ranks.device.type == "cuda" else []))
        weights = fingerprint_of(opened) if stage == "dpo" else ""
        trainee = make_trainee(opened.checkpoint.model, recipe, ranks)
        objective = make_objective(opened, trainee, weights)
        _go_on(opened, start, checkpoints, trainee, objective, audience)
        model = write_model(recipe, ranks, trainee, opened.checkpoint.directory)
        if audience.folder is not None:
            audience.folder.finish(model)
        return model


@dataclass(frozen=True, slots=True)
class _Audience:
    """Who is told on this rank; nobody but on the first."""

    listeners: tuple[Listener, ...] = ()
    folder: RunFolder | None = None
    say: Callable[[str], None] = lambda sentence: None


def _audience(opened: Opened, step: int, stack: ExitStack) -> _Audience:
    """Run folder, progress line and boards, of a run that goes on after so many steps."""
    recipe, ranks = opened.recipe, opened.ranks
    if not ranks.is_first:
        return _Audience()
    peak = peak_flops(ranks.device, DTYPES[recipe.dtype])
    progress = stack.enter_context(
        Progress(log_every=recipe.watch.log_every, device=ranks.device, peak_flops=peak and peak * ranks.size)
    )
    folder = RunFolder(recipe.out, recipe, stage=opened.stage, data=opened.data, step=step, say=progress.say)
    listeners: list[Listener] = [folder, progress]
    if recipe.watch.tensorboard:
        board = TensorBoard(recipe.out, step=step)
        stack.callback(board.close)
        listeners.append(board)
    if recipe.watch.wandb:
        wandb = Wandb(recipe.out, plain_recipe(opened.stage, recipe))
        stack.callback(wandb.close)
        listeners.append(wandb)
    for note in opened.notes:
        progress.say(note)
    if step:
        progress.say(f"going on after step {step} of {recipe.steps}")
    return _Audience(tuple(listeners), folder, progress.say)


def _go_on(
    opened: Opened,
    start: Start,
    checkpoints: Checkpoints,
    trainee: Trainee,
    objective: Objective,
    audience: _Audience,
) -> None:
    """To the last step; raises SystemExit where a signal asked to stop before it."""
    recipe, watch, answers = opened.recipe, _watch(opened, objective), on_policy(opened, trainee)
    if isinstance(objective, DpoObjective):
        precompute(opened, start, trainee, objective.reference, watch, audience.say)
    listeners = audience.listeners
    if answers is not None:
        listeners = tuple(Counted(listener, answers) for listener in listeners)
    with stop_requests() as asked:
        point = learn(
            recipe,
            opened.ranks,
            start,
            checkpoints,
            trainee=trainee,
            objective=objective,
            stream=opened.stream if answers is None else Answered(opened.stream, answers),
            listeners=listeners,
            watch=_measure(watch, trainee, audience),
            asked_to_stop=asked,
        )
    if point.step < recipe.steps:
        audience.say(f"stopped after step {point.step} of {recipe.steps}; the same command goes on from there")
        raise SystemExit(128 + (asked.number or signal.SIGTERM))  # another rank may have heard it


def _watch(opened: Opened, objective: Objective) -> Watch | None:
    """Measures what is held out; None where nothing is, or nobody asks."""
    recipe = opened.recipe
    if not opened.heldout or not recipe.watch.every:
        return None
    half = recipe.dtype == "bfloat16"
    return Watch(
        opened.heldout,
        opened.hearing.measure,
        opened.hearing.hear,
        objective,
        opened.checkpoint,
        num_answers=recipe.watch.num_answers,
        pack_tokens=recipe.data.pack_tokens,
        seed=recipe.seed,
        arithmetic=lambda: torch.autocast(opened.ranks.device.type, torch.bfloat16, enabled=half),
    )


def _measure(watch: Watch | None, trainee: Trainee, audience: _Audience) -> Callable[[int], None]:
    """Measures, and tells."""
    if watch is None:
        return lambda step: None

    def measure(step: int) -> None:
        seen = watch(trainee)
        for listener in audience.listeners:
            listener.note(step, seen.values)
        if audience.folder is not None:
            audience.folder.answers(step, seen.answers)
        for remark in seen.remarks:
            audience.say(remark)

    return measure
