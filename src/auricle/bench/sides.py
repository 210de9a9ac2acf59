"""What a side must be able to do, and the work both do alike: many recordings to token ids, batch by batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch

PROMPT = "Detect the language and recognize the speech: <|en|>"  # after the recording, as base models are evaluated
Order = Literal["given", "sorted"]  # sorted: longest recording first
SideName = Literal["ours", "theirs"]


class Side(Protocol):
    """One program with the model loaded. Samples are float32 [samples] at 16 000 per second."""

    def hear(self, samples: "np.ndarray") -> Any:
        """The log-mel features of one recording, in the side's own form."""

    def encode(self, heard: Any) -> "torch.Tensor":
        """Features -> audio tokens [tokens, width] as the decoder reads them, real ones alone."""

    def generate(self, clips: Sequence["np.ndarray"], num_tokens: int) -> list[list[int]]:
        """One batch from samples to exactly so many greedy token ids a recording, whatever ends an answer."""

    def decode_s(self, clips: Sequence["np.ndarray"], num_tokens: int) -> float:
        """Seconds of one batch between its first and its last token: `num_tokens` - 1 steps."""

    def text(self, ids: Sequence[int]) -> str:
        """Token ids to text."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a side goes through many recordings."""

    batch_size: int
    order: Order

    def batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Places of the recordings of these lengths, batch by batch."""
        places = list(range(len(lengths)))
        if self.order == "sorted":
            places.sort(key=lambda place: -lengths[place])
        return [places[start : start + self.batch_size] for start in range(0, len(places), self.batch_size)]


def transcribe(side: Side, clips: Sequence["np.ndarray"], plan: Plan, num_tokens: int) -> list[list[int]]:
    """Every recording to ids and text, by the plan; the ids in the recordings' order."""
    ids: dict[int, list[int]] = {}
    for places in plan.batches([len(clip) for clip in clips]):
        rows = side.generate([clips[place] for place in places], num_tokens)
        ids |= zip(places, rows, strict=True)
        for row in rows:
            side.text(row)
    return [ids[place] for place in range(len(clips))]


def import_side(name: SideName) -> Callable[[str], Side]:
    """Import a side's libraries, and only those; the result loads it from a checkpoint directory.

    Raises:
        UserError: a library is not installed.
    """
    if name == "ours":
        from auricle.bench.ours import Ours

        return Ours
    from auricle.bench.theirs import Theirs, require_transformers

    require_transformers()
    return Theirs


def require_equal_tokens(ours: Sequence[Sequence[int]], theirs: Sequence[Sequence[int]]) -> int:
    """How many recordings have the same ids on both sides.

    Raises:
        ValueError: for some recording one side wrote more tokens than the other: their times would not compare.
    """
    for place, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        if len(mine) != len(other):
            raise ValueError(f"recording {place}: {len(mine)} tokens from ours but {len(other)} from theirs")
    return sum(list(mine) == list(other) for mine, other in zip(ours, theirs, strict=True))
