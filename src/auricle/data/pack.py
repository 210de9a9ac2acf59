"""A pack of training sequences with what is learnt in it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from auricle import units
from auricle.data.refusal import Refusal
from auricle.model import PackedInput
from auricle.prepare import Prepared, pack


@dataclass(frozen=True, slots=True)
class Label:
    """What a sequence is, for messages, for loss by task, and for the cache of a reference model.

    key: sha256 of the sequence's ids and of the samples it hears, where an objective asks for it; else empty.
    """

    where: str
    source: str
    task: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Pack:
    """One forward and backward.

    places: int64 [supervised], the token at each predicts `targets` [supervised]; `sequences` [supervised] says to
    which sequence each belongs.
    labels: one per sequence; where groups are pairs, sequences 2 i and 2 i + 1 are chosen and rejected.
    refused: each record that could not be read or heard and was left out, and why.
    """

    inputs: PackedInput
    places: torch.Tensor
    targets: torch.Tensor
    sequences: torch.Tensor
    labels: tuple[Label, ...]
    refused: tuple[Refusal, ...] = ()

    def to(self, device: torch.device) -> "Pack":
        """The same pack on another device."""
        moved = {name: getattr(self, name).to(device) for name in ("inputs", "places", "targets", "sequences")}
        return replace(self, **moved)

    @property
    def audio_s(self) -> float:
        """Seconds of sound, each window counted once."""
        return sum(self.inputs.num_frames) / units.FRAMES_PER_S


def make_pack(sequences: Sequence[tuple[Prepared, Label]], refused: Sequence[Refusal] = ()) -> Pack:
    """Sequences in their order; the ids that their prompts mark for the loss are the targets.

    Raises:
        ValueError: a sequence's first id is marked: nothing predicts it.
    """
    prompts = [prepared.prompt for prepared, _ in sequences]
    places, targets, owners, start = [], [], [], 0
    for number, prompt in enumerate(prompts):
        if prompt.loss[0]:
            raise ValueError(f"the first token of {sequences[number][1].where} counts in the loss; nothing predicts it")
        marked = [place for place, counts in enumerate(prompt.loss) if counts]
        places += [start + place - 1 for place in marked]
        targets += [prompt.ids[place] for place in marked]
        owners += [number] * len(marked)
        start += len(prompt.ids)
    return Pack(
        pack([prepared for prepared, _ in sequences]),
        torch.tensor(places, dtype=torch.int64),
        torch.tensor(targets, dtype=torch.int64),
        torch.tensor(owners, dtype=torch.int64),
        tuple(label for _, label in sequences),
        tuple(refused),
    )
