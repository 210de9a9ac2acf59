"""Activations that are computed again in the backward instead of being kept."""

import functools
from typing import Any, Literal

import torch
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from auricle.model import Qwen2Audio

How = Literal["none", "full", "selective"]

_COSTLY = (  # results that are kept by `selective`: matrix products and attention
    torch.ops.aten.mm.default,
    torch.ops.aten.addmm.default,
    torch.ops.aten.bmm.default,
    torch.ops.aten.baddbmm.default,
    torch.ops.aten._scaled_dot_product_flash_attention.default,
    torch.ops.aten._scaled_dot_product_efficient_attention.default,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
)


def recompute(model: Qwen2Audio, how: How) -> None:
    """Let every layer of both towers keep its input alone (`full`), or also the results of its matrix products
    (`selective`), and compute the rest again. `none` changes nothing.
    """
    if how == "none":
        return
    contexts: dict[str, Any] = {}
    if how == "selective":
        contexts["context_fn"] = functools.partial(create_selective_checkpoint_contexts, _keep_products)
    for layer in (*model.audio_tower.layers, *model.language_model.model.layers):
        layer.forward = functools.partial(checkpoint, layer.forward, use_reentrant=False, **contexts)


def _keep_products(context: Any, operator: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if operator in _COSTLY else CheckpointPolicy.PREFER_RECOMPUTE
