"""The two forwards of every decoding: the whole prompt once, then one token a row.

Axes: B batch, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from auricle.model import Cache, KVCache, ModelInput, Qwen2Audio, splice

ROOM_TOKENS = 64  # made beside the prompt's own; the cache grows when an answer needs more


@dataclass(slots=True)
class Prefilled:
    """Prompts that have been read.

    inputs: their ids; the sound is in the cache already.
    logits: float32 scores of each one's first new token [B, V].
    cache: used up by who goes on from it.
    """

    inputs: ModelInput
    logits: torch.Tensor
    cache: KVCache


def read(model: Qwen2Audio, inputs: ModelInput) -> Prefilled:
    """Read prompts whose rows go on in a cache of their own."""
    with torch.inference_mode():
        return Prefilled(inputs, *prefill(model, inputs, room=0))


def prefill(model: Qwen2Audio, inputs: ModelInput, *, room: int = ROOM_TOKENS) -> tuple[torch.Tensor, KVCache]:
    """Read the prompts -> float32 scores of the first new token [B, V], and the cache of what was read.

    room: places beside the prompt's own.
    """
    embeddings = model.embed(inputs)
    batch, num_prompt = inputs.ids.shape
    cache = KVCache.empty(model.config.text, batch=batch, capacity=num_prompt + room, like=embeddings)
    hidden = model.decode(embeddings, inputs.positions, inputs.valid, cache)[:, -1]
    return model.logits(hidden).float(), cache


def read_on(model: Qwen2Audio, ids: Sequence[int], audio_AD: torch.Tensor, prefix: "Prefix | None") -> Prefilled:
    """Read one prompt whose recordings are encoded already, from where a prefix of it ends.

    Args:
        model: in evaluation mode.
        ids: the whole prompt.
        audio_AD: the audio tokens whose places lie after the prefix.
        prefix: what is known of its beginning; it ends before the prompt does and splits no recording.
    """
    device = audio_AD.device
    start = 0 if prefix is None else prefix.num_tokens
    ids_1T = torch.tensor([ids], device=device)
    inputs = ModelInput(ids_1T, torch.ones_like(ids_1T, dtype=torch.bool), audio_AD.new_empty(0, 0, 0), ids_1T[0, :0])
    with torch.inference_mode():
        rest_1T = ids_1T[:, start:]
        embeddings = model.language_model.model.embed_tokens(rest_1T)
        embeddings = splice(embeddings, rest_1T == model.config.audio_token_id, audio_AD)
        cache = KVCache.empty(model.config.text, batch=1, capacity=len(ids), like=embeddings)
        if prefix is not None:
            prefix.write(cache)
        hidden = model.decode(embeddings, inputs.positions[:, start:], inputs.valid[:, start:], cache)[:, -1]
        return Prefilled(inputs, model.logits(hidden).float(), cache)


@dataclass(frozen=True, slots=True)
class Prefix:
    """The first `num_tokens` of a prompt that was read before: keys and values [K, T, H] of each layer, T of them at
    least."""

    layers: list[tuple[torch.Tensor, torch.Tensor]]
    num_tokens: int

    def write(self, cache: KVCache) -> None:
        """Into a cache of one row, as if it had read them."""
        for layer, (keys, values) in enumerate(self.layers):
            cache.keys[layer][0, :, : self.num_tokens] = keys[:, : self.num_tokens]
            cache.values[layer][0, :, : self.num_tokens] = values[:, : self.num_tokens]
        cache.num_tokens = self.num_tokens


def advance(model: Qwen2Audio, ids_B: torch.Tensor, positions_B: torch.Tensor, cache: Cache) -> torch.Tensor:
    """Read one token a row at its place in its own text -> float32 scores of the next one [B, V]."""
    embeddings = model.language_model.model.embed_tokens(ids_B[:, None])
    positions = positions_B[:, None]
    hidden = model.decode(embeddings, positions, torch.ones_like(positions, dtype=torch.bool), cache)[:, -1]
    return model.logits(hidden).float()
