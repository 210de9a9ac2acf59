"""What the model reads: padded batches for answering, packs without padding for training."""

from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True, slots=True)
class ModelInput:
    """A batch of prompts with the recordings that belong to them.

    ids: int64 [batch, tokens], padded on the left.
    valid: bool [batch, tokens], false on padding.
    features: float32 [windows, mel_bins, frames], every window of every recording in the order of the prompts.
    num_frames: int64 [windows], real mel frames of each window.
    """

    ids: torch.Tensor
    valid: torch.Tensor
    features: torch.Tensor
    num_frames: torch.Tensor

    def to(self, device: torch.device) -> "ModelInput":
        """The same batch on another device."""
        moved = {name: getattr(self, name).to(device) for name in ("ids", "valid", "features", "num_frames")}
        return replace(self, **moved)

    @property
    def positions(self) -> torch.Tensor:
        """int64 [batch, tokens]: each token's place in its own prompt; 0 on padding."""
        return (self.valid.long().cumsum(dim=1) - 1).clamp(min=0)


@dataclass(frozen=True, slots=True)
class PackedInput:
    """Sequences one after another, without padding; none sees another.

    ids: int64 [tokens].
    lengths: tokens of each sequence.
    features: float32 [mel_bins, kept frames], one for every window of sound that is heard at least once.
    num_frames: real mel frames of each window.
    heard: which window each place for one hears, in the order of the sequences: two answers to one recording share it.
    """

    ids: torch.Tensor
    lengths: tuple[int, ...]
    features: tuple[torch.Tensor, ...]
    num_frames: tuple[int, ...]
    heard: tuple[int, ...]

    def to(self, device: torch.device) -> "PackedInput":
        """The same pack on another device."""
        return replace(self, ids=self.ids.to(device), features=tuple(window.to(device) for window in self.features))

    @property
    def positions(self) -> torch.Tensor:
        """int64 [tokens]: each token's place in its own sequence."""
        return torch.cat([torch.arange(length, device=self.ids.device) for length in (*self.lengths, 0)])
