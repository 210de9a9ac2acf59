"""Tensors that lie in shards."""

import torch


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor that may lie in shards on all ranks, whole on each; all of them must call."""
    gather = getattr(tensor, "full_tensor", None)  # a DTensor's, whose import takes seconds
    return tensor if gather is None else gather()
