"""A step's packs as every rank goes through them, so that none waits for another, and what they add up to."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch

from auricle.data import Pack
from auricle.data.stream import Step
from auricle.model import PackedInput

_SILENCE_FRAMES = 3  # the fewest that make an audio token


@dataclass(frozen=True, slots=True)
class Round:
    """One forward and backward: what is read, what is learnt of it, and whether it is the step's last."""

    read: Pack
    learnt: Pack
    is_last: bool


def rounds(step: Step, *, num_ranks: int, num_mel_bins: int) -> Iterator[Round]:
    """This rank's share of a step.

    Alone, a rank leaves out packs in which nothing could be heard. Among others it makes as many rounds as they do, in
    each of which every layer is used once, as each is gathered from all ranks: where there is no pack it reads a word
    that nobody learns, and where there is no sound, silence that no sequence hears. Neither changes a gradient.
    """
    packs = [pack for pack in step.packs if pack.labels]
    if num_ranks > 1:
        packs += [_empty()] * (step.num_rounds - len(packs))
    for number, pack in enumerate(packs, start=1):
        read = with_sound(pack, num_mel_bins) if num_ranks > 1 else pack
        yield Round(read, pack, is_last=number == len(packs))


def with_sound(pack: Pack, num_mel_bins: int) -> Pack:
    """A pack with at least one window of sound: silence that no sequence hears, where it has none."""
    if pack.inputs.features:
        return pack
    silence = torch.zeros(num_mel_bins, _SILENCE_FRAMES)
    return replace(pack, inputs=replace(pack.inputs, features=(silence,), num_frames=(_SILENCE_FRAMES,)))


def _empty() -> Pack:
    """One token, nothing to learn."""
    nothing = torch.zeros(0, dtype=torch.int64)
    word = PackedInput(ids=torch.zeros(1, dtype=torch.int64), lengths=(1,), features=(), num_frames=(), heard=())
    return Pack(word, nothing, nothing, nothing, ())


@dataclass(slots=True)
class Sums:
    """What a step adds up, on one rank or on all. logged: sum and count by name."""

    loss: float = 0.0
    logged: dict[str, tuple[float, float]] = field(default_factory=dict)
    tokens: int = 0
    supervised: int = 0
    audio_s: float = 0.0
    flops: float = 0.0

    def add(self, other: "Sums") -> None:
        """Take another's in."""
        for name, (total, count) in other.logged.items():
            before = self.logged.get(name, (0.0, 0.0))
            self.logged[name] = (before[0] + total, before[1] + count)
        for name in ("loss", "tokens", "supervised", "audio_s", "flops"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def means(self) -> dict[str, float]:
        """What was logged, by name; without what was counted nowhere."""
        return {name: total / count for name, (total, count) in self.logged.items() if count}
