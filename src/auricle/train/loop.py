"""The one loop of all stages: packs in, a step of the optimizer, a report; again."""

import math
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch

from auricle.data.stream import Step
from auricle.errors import UserError
from auricle.train.checkpoint import Parameters, Point
from auricle.train.distributed import Ranks, note_what_moves, sync_gradients
from auricle.train.flops import Moving, pack_flops
from auricle.train.lines import Lines
from auricle.train.objective import Objective
from auricle.train.optimizer import clip, follow
from auricle.train.report import Listener, StepReport
from auricle.train.rounds import Sums, rounds
from auricle.train.schedule import PARTS, Rates, rates
from auricle.train.settings import Recipe
from auricle.train.trainee import Trainee

MAX_SKIPPED = 3  # steps in a row without a finite gradient; they end the run


@dataclass(frozen=True, slots=True)
class Training:
    """What the loop turns.

    parameters: those that move in some phase. listeners: told on this rank; none but on the first.
    watch: measures beside the step of that number. save: writes a checkpoint. All ranks call both together.
    asked_to_stop: by a signal, on this rank.
    """

    recipe: Recipe
    ranks: Ranks
    trainee: Trainee
    parameters: Parameters
    optimizer: torch.optim.Optimizer
    objective: Objective
    listeners: Sequence[Listener]
    watch: Callable[[int], None]
    save: Callable[[Point], None]
    asked_to_stop: Callable[[], bool]


def train(run: Training, steps: Iterable[Step], start: Point) -> Point:
    """Learn from the steps that follow `start`, of which the recipe has at least one; where the run stands then.

    Asked to stop on any rank, it ends after the step in work, with a checkpoint.

    Raises:
        UserError: too many samples could not be heard (a checkpoint is written first), or the gradient was not finite
            in several steps running.
    """
    _set_rates(run, start.step, is_first=True)
    if start.step == 0 and run.recipe.watch.every:
        run.watch(0)
    point, saved, skipped, began = start, start.step, 0, time.perf_counter()
    for step in islice(steps, run.recipe.steps - start.step):
        count, refused = _agree(run, step, known=point.refused)
        if refused and len(point.refused) + len(refused) > run.recipe.data.max_refused:
            if point.step != saved:
                run.save(point)
            raise _too_many_refused(run, point, list(refused.values()))
        now = _set_rates(run, point.step)
        sums, norm = _learn(run, step, count)
        skipped = _update(run, point.step, skipped, is_finite=math.isfinite(sums.loss) and math.isfinite(norm))
        point = replace(point, step=point.step + 1, stream=step.state, refused=[*point.refused, *refused])
        _tell(run, point.step, sums, now, norm, time.perf_counter() - began, list(refused.values()))
        must_stop = any(run.ranks.gather(run.asked_to_stop()))
        is_last = point.step == run.recipe.steps
        if _is_due(point.step, run.recipe.watch.every) or (is_last and run.recipe.watch.every):
            run.watch(point.step)
        if _is_due(point.step, run.recipe.save.every) or is_last or must_stop:
            run.save(point)
            saved = point.step
        if must_stop:
            break
        began = time.perf_counter()
    return point


def _agree(run: Training, step: Step, *, known: Sequence[str]) -> tuple[float, dict[str, str]]:
    """The items that all ranks learn from, and what no earlier step named of what is left out on any: place, why."""
    count = sum(run.objective.count(pack) for pack in step.packs if pack.labels)
    heard = run.ranks.gather((count, [refusal for pack in step.packs for refusal in pack.refused]))
    seen = set(known)
    refused = {where: why for _, part in heard for where, why in part if where not in seen}
    return sum(part for part, _ in heard), refused


def _set_rates(run: Training, step: int, *, is_first: bool = False) -> Rates:
    """The rates of this step, what moves, and the random numbers that dropout draws: none outlives a step."""
    recipe, num_layers = run.recipe, run.trainee.model.config.audio.num_layers
    now = rates(recipe.phases, recipe.optimizer, (step + 1) / recipe.steps, num_layers=num_layers)
    if follow(run.optimizer, run.parameters, now, num_layers=num_layers) and not is_first:
        note_what_moves(run.trainee, run.ranks)
    seed = np.random.SeedSequence((recipe.seed, step, run.ranks.rank)).generate_state(1, np.uint64)
    torch.manual_seed(int(seed[0]))
    return now


def _learn(run: Training, step: Step, count: float) -> tuple[Sums, float]:
    """Gradients of the mean over all ranks' items, clipped; what they all add up to, and the norm before clipping."""
    ranks, config, sums = run.ranks, run.trainee.model.config, Sums()
    moving, half = Moving.of(run.trainee.model), run.recipe.dtype == "bfloat16"
    for part in rounds(step, num_ranks=ranks.size, num_mel_bins=config.audio.num_mel_bins) if count else ():
        sync_gradients(run.trainee, ranks, now=part.is_last)
        with torch.autocast(ranks.device.type, torch.bfloat16, enabled=half):
            nll_P = run.trainee(part.read.to(ranks.device))
        total = nll_P.sum()  # of nothing, where nothing is learnt
        if part.learnt.labels:
            loss = run.objective(nll_P, part.learnt.to(ranks.device))
            total, flops = loss.sum, pack_flops(config, part.learnt, moving)
            tokens, supervised = len(part.learnt.inputs.ids), len(part.learnt.targets)
            sums.add(Sums(total.item(), loss.logged, tokens, supervised, part.learnt.audio_s, flops))
        if total.requires_grad:
            (total / count).backward()
    for parameter in run.parameters.values():
        if count and parameter.requires_grad and parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)  # as ranks have that heard silence: AdamW moves on regardless
    norm, everyone = clip(run.parameters, run.recipe.optimizer.clip), Sums()
    for of_rank in ranks.gather(sums):
        everyone.add(of_rank)
    return everyone, norm


def _update(run: Training, step: int, skipped: int, *, is_finite: bool) -> int:
    """Move the parameters, unless the gradient is not finite; how many steps in a row were skipped."""
    if is_finite:
        run.optimizer.step()
    run.optimizer.zero_grad()
    if is_finite:
        return 0
    if skipped + 1 == MAX_SKIPPED:
        raise UserError(
            f"the gradient is not finite in {MAX_SKIPPED} steps running, the last is {step + 1}: lower the rates in "
            "phases or lengthen optimizer.warmup; the newest checkpoint is from before"
        )
    if run.ranks.is_first:
        warnings.warn(f"step {step + 1} is skipped: its gradient is not finite", stacklevel=2)
    for listener in run.listeners:
        listener.note(step + 1, {"skipped_steps": skipped + 1.0})
    return skipped + 1


def _tell(
    run: Training, step: int, sums: Sums, now: Rates, norm: float, seconds: float, refused: Sequence[str]
) -> None:
    report = StepReport(
        step=step,
        num_steps=run.recipe.steps,
        logged=sums.means,
        rates={part: now.of(part) for part in PARTS},
        grad_norm=norm,
        tokens=sums.tokens,
        supervised=sums.supervised,
        audio_s=sums.audio_s,
        seconds=seconds,
        flops=sums.flops,
        refused=tuple(refused),
    )
    for listener in run.listeners:
        listener.step(report)


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _too_many_refused(run: Training, point: Point, refused: Sequence[str]) -> UserError:
    """Name them all in refused.jsonl, where the earlier ones stand."""
    path = run.recipe.out / "refused.jsonl"
    if run.ranks.is_first:
        for sentence in refused:
            Lines(path).append({"step": point.step + 1, "why": sentence})
    return UserError(
        f"{len(point.refused) + len(refused)} samples could not be heard, more than data.max_refused "
        f"({run.recipe.data.max_refused}); the last: {refused[-1]}; {path} names them: mend them or raise the limit, "
        "and start the same command again"
    )
