"""The reference's log-probabilities of all that a run learns from and measures, computed before its first step."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import chain, islice

from auricle.data import Pack
from auricle.train.opening import Opened
from auricle.train.reference import Reference, forward
from auricle.train.resume import plain_recipe
from auricle.train.session import DTYPES, Start
from auricle.train.trainee import Trainee
from auricle.train.watch import Watch


def precompute(
    opened: Opened,
    start: Start,
    trainee: Trainee,
    reference: Reference,
    watch: Watch | None,
    say: Callable[[str], None],
) -> None:
    """Fill the reference's cache, and let its copy go: training then holds one model.

    On one rank and before the first step the policy itself is the reference, and no copy is read at all. Started
    again, only what is missing is computed. Nothing is done where answers are drawn in training or recordings
    augmented: what will be heard is never heard twice then.

    Args:
        opened: the run's parts.
        start: where it goes on.
        trainee: the policy, not yet restored from a checkpoint.
        reference: with its cache.
        watch: measures held-out pairs; None where nothing does.
        say: tells the user.
    """
    recipe, step = opened.recipe, start.point.step
    if recipe.data.augment.chance or recipe.dpo.rollouts or step == recipe.steps:
        return
    run = json.dumps([plain_recipe(opened.stage, recipe), opened.ranks.size], sort_keys=True)
    if any(opened.ranks.gather(not reference.is_whole(run))):
        say("computing the reference's log-probabilities before the first step")
        packs = chain(_learnt(opened, start), () if watch is None else watch.scored())
        if opened.ranks.size == 1 and step == 0 and recipe.lora is None:
            training = trainee.training
            done = reference.precompute(packs, partial(forward, trainee.eval(), dtype=DTYPES[recipe.dtype]))
            trainee.train(training)
        else:
            done = reference.precompute(packs)
        reference.note_whole(run)
        say(f"the reference: {done.num_computed:,} answers computed, {done.num_known:,} known already")
    reference.free()


def _learnt(opened: Opened, start: Start) -> Iterator[Pack]:
    """This rank's packs as training will hear them, until every record came on some rank or the run ends."""
    if start.checkpoint is not None:
        opened.stream.load_state(start.point.stream)
    seen: set[str] = set()
    num_records = sum(len(source.records) for source in opened.sources)
    with closing(iter(opened.stream)) as steps:
        for step in islice(steps, opened.recipe.steps - start.point.step):
            yield from (pack for pack in step.packs if pack.labels)
            heard = {label.where for pack in step.packs for label in pack.labels}
            refused = {refusal.where for pack in step.packs for refusal in pack.refused}
            seen.update(*opened.ranks.gather(heard | refused))
            if len(seen) >= num_records:
                return
