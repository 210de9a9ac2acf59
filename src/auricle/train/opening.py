"""A recipe's parts, opened: model, data, stage; nothing is learnt or written yet."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from auricle.data import Group
from auricle.data.augment import Augmenter
from auricle.data.hear import Hearing
from auricle.data.heldout import heldout_groups
from auricle.data.manifest import open_records
from auricle.data.records import Preference, Recording
from auricle.data.settings import SourceSettings
from auricle.data.source import Make, Source
from auricle.data.stream import Stream
from auricle.data.validate import present, problems
from auricle.errors import UserError
from auricle.text import Tokenizer
from auricle.train.adapters import check_adapters
from auricle.train.distributed import Ranks, join_ranks
from auricle.train.dpo import dpo_make
from auricle.train.on_policy import rollout_make
from auricle.train.schedule import check_phases
from auricle.train.settings import Recipe
from auricle.train.stage import StageName
from auricle.train.stages import supervised_stage, weighted
from auricle.weights import Checkpoint, locate, read_checkpoint

_SHOWN = 5  # bad lines that are named


@dataclass(frozen=True, slots=True)
class Opened:
    """What a run is made of.

    checkpoint: what it starts from, its model on the CPU, parameters as stored. hearing: without augmentation.
    heldout: groups that nobody learns from. notes: what the user should know about data and adapters.
    """

    recipe: Recipe
    stage: StageName
    ranks: Ranks
    checkpoint: Checkpoint
    sources: tuple[Source, ...]
    stream: Stream
    hearing: Hearing
    heldout: tuple[Group, ...]
    notes: tuple[str, ...]

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's."""
        return self.checkpoint.tokenizer

    @property
    def audio_id(self) -> int:
        """The token in whose places sound is heard."""
        return self.checkpoint.model.config.audio_token_id

    @property
    def data(self) -> dict[str, Any]:
        """What is learnt from, in plain values."""
        total = sum(source.weight for source in self.sources)
        train = [
            {"source": source.name, "records": len(source.records), "share": source.weight / total}
            for source in self.sources
        ]
        return {"train": train, "heldout": {"examples": len(self.heldout)}, "notes": list(self.notes)}


@contextmanager
def open_run(recipe: Recipe, stage: StageName) -> Iterator[Opened]:
    """Everything that a run reads.

    Raises:
        UserError: whatever would keep the run from starting.
    """
    with join_ranks(recipe.device) as ranks:
        yield open_parts(recipe, stage, ranks)


def open_parts(recipe: Recipe, stage: StageName, ranks: Ranks) -> Opened:
    """The same for ranks that have met already."""
    check_lines(recipe)
    directory = locate(recipe.model)
    checkpoint = read_checkpoint(directory, dtype=None, device=torch.device("cpu"))
    audio = checkpoint.model.config.audio
    check(recipe, ranks, num_layers=audio.num_layers)
    notes = check_adapters(checkpoint.model, recipe)
    opened = weighted(stage, recipe, open_sources(recipe.data.train))
    heldout_sources = open_sources(recipe.data.heldout)
    shared = shared_recordings(opened.sources, heldout_sources)
    learnt, held_out = _makes(recipe, stage, opened.sources)
    needs_keys = stage == "dpo"
    augment = recipe.data.augment
    hearing = Hearing(checkpoint.tokenizer, num_mel_bins=audio.num_mel_bins, needs_keys=needs_keys)
    augmented = Hearing(
        checkpoint.tokenizer,
        num_mel_bins=audio.num_mel_bins,
        augmenter=Augmenter.of(augment) if augment.chance else None,
        needs_keys=needs_keys,
    )
    stream = Stream(
        opened.sources,
        make=learnt,
        measure=augmented.measure,
        hear=augmented.hear,
        seed=recipe.seed,
        pack_tokens=recipe.data.pack_tokens,
        packs_per_step=recipe.data.packs_per_step,
        max_tokens=recipe.max_tokens,
        rank=ranks.rank,
        world_size=ranks.size,
        num_workers=recipe.data.num_workers,
    )
    heldout = _hold_out(recipe, heldout_sources, held_out)
    notes = (*opened.notes, *notes, *shared)
    return Opened(recipe, stage, ranks, checkpoint, tuple(opened.sources), stream, hearing, heldout, notes)


def open_sources(settings: Sequence[SourceSettings]) -> list[Source]:
    """Named after their paths."""
    return [Source(str(one.path), open_records(one.path, task=one.task), one.weight) for one in settings]


def check_lines(recipe: Recipe) -> None:
    """Read every line, and look for every file, before a model is.

    Raises:
        UserError: a line is wrong, or a file is missing; the message names the first of them and counts them all.
    """
    settings = (*recipe.data.train, *recipe.data.heldout)
    if not recipe.data.train:
        raise UserError("data.train names no data set; give one, for example data.train='[{path: mine.jsonl}]'")
    found = [one for source in settings for one in problems(open_records(source.path, task=source.task), present)]
    if found:
        shown = "; ".join(f"{problem.where}: {problem.what}" for problem in found[:_SHOWN])
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise UserError(
            f"the data have {len(found)} bad lines: {shown}{more}; mend or remove them, `auricle data validate` names "
            "all and decodes the recordings too"
        )


def check(recipe: Recipe, ranks: Ranks, *, num_layers: int) -> None:
    """Raise UserError where a number makes no run of a model with so many encoder layers."""
    for name, value in (("steps", recipe.steps), ("save.keep", recipe.save.keep)):
        if value < 1:
            raise UserError(f"{name} is {value}; expected at least 1")
    if recipe.dpo.rollouts and ranks.size > 1:
        raise UserError(
            f"dpo.rollouts needs the whole model in one process, but there are {ranks.size}; start without torchrun, "
            "or draw the answers beforehand with `auricle data rollout`"
        )
    check_phases(recipe.phases, recipe.optimizer, num_layers=num_layers)


def _makes(recipe: Recipe, stage: StageName, sources: Sequence[Source]) -> tuple[Make, Make]:
    """What makes training examples, and what makes held-out ones."""
    if stage != "dpo":  # nobody's training turns lengthen what is held out
        return supervised_stage(stage, recipe, sources).make, supervised_stage(stage, recipe, ()).make
    if recipe.dpo.rollouts:
        return rollout_make(supervised_stage("sft", recipe, sources).make), dpo_make
    return dpo_make, dpo_make


def shared_recordings(train: Sequence[Source], heldout: Sequence[Source]) -> tuple[str, ...]:
    """A note where held-out recordings are trained on too; files and places in them are compared, not sound.

    Raises:
        UserError: all of them are.
    """
    held = {_place(recording): recording for recording in _recordings(heldout)}
    shared = held.keys() & {_place(recording) for recording in _recordings(train if held else ())}
    if not shared:
        return ()
    said = f"of {len(held)} held-out recordings {len(shared)} are trained on too, {held[min(shared)].path} among them"
    if len(shared) == len(held):
        raise UserError(f"{said}; hold out others, or leave data.heldout empty")
    return (f"{said}: held-out loss and answers look better than they are",)


def _recordings(sources: Sequence[Source]) -> Iterator[Recording]:
    for source in sources:
        for record in source.records:
            yield from record.recordings
            if isinstance(record, Preference):
                yield from record.rejected_recordings or ()


def _place(recording: Recording) -> tuple[str, int]:
    return os.path.abspath(recording.path), recording.offset or 0


def _hold_out(recipe: Recipe, sources: Sequence[Source], make: Make) -> tuple[Group, ...]:
    """From every held-out source about as many groups, the same in every process."""
    num = recipe.watch.num_heldout
    groups: list[Group] = []
    for place, source in enumerate(sources):
        groups += heldout_groups(source.records, make, (num + place) // len(sources), recipe.seed)
    return tuple(groups)
