"""Activations that are computed again in the backward instead of being kept."""

import contextlib
import functools
import importlib
import operator
from typing import Any, Literal

import torch
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from auricle.model import Qwen2Audio

How = Literal["none", "full", "selective"]

COSTLY = (  # results that are kept by `selective`: matrix products and attention
    *("aten.mm", "aten.addmm", "aten.bmm", "aten.baddbmm"),
    "aten._scaled_dot_product_flash_attention",
    "aten._scaled_dot_product_efficient_attention",
    "aten._scaled_dot_product_cudnn_attention",
    "aten._scaled_dot_product_fused_attention_overrideable",
    "aten._scaled_dot_product_flash_attention_for_cpu",
    *("aten._flash_attention_forward", "aten._efficient_attention_forward", "aten._cudnn_attention_forward"),
    "torch_attn._varlen_attn",
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


def _keep_products(context: Any, called: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if called in find_operators(COSTLY) else CheckpointPolicy.PREFER_RECOMPUTE


@functools.cache
def find_operators(names: tuple[str, ...]) -> frozenset[Any]:
    """Those that this torch has, by library and name; the varlen operator comes with its module."""
    with contextlib.suppress(ImportError):
        importlib.import_module("torch.nn.attention.varlen")
    found = set()
    for name in names:
        with contextlib.suppress(AttributeError):
            found.add(operator.attrgetter(f"{name}.default")(torch.ops))
    return frozenset(found)
