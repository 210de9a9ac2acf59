"""Prompts and mels of unequal length to one batch, padded on the left."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from auricle import units
from auricle.audio import Mel
from auricle.model import ModelInput
from auricle.prepare.prompt import Prompt


@dataclass(frozen=True, slots=True)
class Prepared:
    """One prompt and the mel windows of its recordings, in order; a long recording has several windows."""

    prompt: Prompt
    mels: tuple[Mel, ...] = ()

    def __post_init__(self) -> None:
        places = sum(end - start for start, end in self.prompt.audio_spans)
        tokens = sum(units.tokens_from_frames(mel.num_frames) for mel in self.mels)
        if places != tokens:
            raise ValueError(f"the prompt has {places} audio places, its recordings make {tokens} audio tokens")


def collate(batch: Sequence[Prepared], *, pad_id: int) -> ModelInput:
    """One batch for training, evaluation and serving alike.

    Args:
        batch: at least one prompt with its mels.
        pad_id: fills the left of shorter prompts; never seen by the model.
    """
    num_tokens = max(len(item.prompt.ids) for item in batch)
    ids = torch.full((len(batch), num_tokens), pad_id)
    valid = torch.zeros(len(batch), num_tokens, dtype=torch.bool)
    for row, item in enumerate(batch):
        length = len(item.prompt.ids)
        ids[row, num_tokens - length :] = torch.tensor(item.prompt.ids)
        valid[row, num_tokens - length :] = True
    mels = [mel for item in batch for mel in item.mels]
    return ModelInput(
        ids, valid, _stack([mel.features for mel in mels]), torch.tensor([mel.num_frames for mel in mels])
    )


def _stack(features: list[torch.Tensor]) -> torch.Tensor:
    """Mel windows [mel_bins, frames] -> [windows, mel_bins, longest], zeros after each end; [0, 0, 0] for none."""
    if not features:
        return torch.zeros(0, 0, 0)
    longest = max(window.shape[1] for window in features)
    return torch.stack([torch.nn.functional.pad(window, (0, longest - window.shape[1])) for window in features])
