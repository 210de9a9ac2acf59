"""The two forwards of every decoding: the whole prompt once, then one token a row.

Axes: B batch, V vocabulary.
"""

import torch

from auricle.model import KVCache, ModelInput, Qwen2Audio

ROOM_TOKENS = 64  # made beside the prompt's own; the cache grows when an answer needs more


def prefill(model: Qwen2Audio, inputs: ModelInput) -> tuple[torch.Tensor, KVCache]:
    """Read the prompts -> float32 scores of the first new token [B, V], and the cache of what was read."""
    embeddings = model.embed(inputs)
    batch, num_prompt = inputs.ids.shape
    cache = KVCache.empty(model.config.text, batch=batch, capacity=num_prompt + ROOM_TOKENS, like=embeddings)
    hidden = model.decode(embeddings, inputs.positions, inputs.valid, cache)[:, -1]
    return model.logits(hidden).float(), cache


def advance(model: Qwen2Audio, ids_B: torch.Tensor, positions_B: torch.Tensor, cache: KVCache) -> torch.Tensor:
    """Read one token a row at its place in its own text -> float32 scores of the next one [B, V]."""
    embeddings = model.language_model.model.embed_tokens(ids_B[:, None])
    positions = positions_B[:, None]
    hidden = model.decode(embeddings, positions, torch.ones_like(positions, dtype=torch.bool), cache)[:, -1]
    return model.logits(hidden).float()
