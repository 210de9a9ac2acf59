"""What the model reads: one type for training, evaluation and serving."""

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
