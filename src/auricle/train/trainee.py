"""The model as the loop sees it: a pack in, the supervised tokens' negative log-likelihoods out."""

import torch
from torch import nn

from auricle.data import Pack
from auricle.model import Qwen2Audio, packed_hidden
from auricle.train.token_loss import token_nll


class Trainee(nn.Module):
    """One module to shard, checkpoint and call, so that FSDP gathers every parameter before it is used."""

    def __init__(self, model: Qwen2Audio) -> None:
        super().__init__()
        self.model = model

    def forward(self, pack: Pack) -> torch.Tensor:
        """A pack -> float32 [supervised]."""
        hidden_TD = packed_hidden(self.model, pack.inputs)
        return token_nll(hidden_TD.index_select(0, pack.places), self.model.language_model.lm_head.weight, pack.targets)
