"""Prefill once, then one token a row and step until every row has said its stop token or reached its limit.

Axes: B batch, T prompt tokens, V vocabulary.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from auricle.conversation import FinishReason, Sampling
from auricle.generate.sampler import Sampler
from auricle.model import KVCache, ModelInput, Qwen2Audio


@dataclass(frozen=True, slots=True)
class Step:
    """One new token a row: ids and log-probabilities [B] as lists; None where the row had already ended."""

    ids: list[int | None]
    logprobs: list[float | None]


@dataclass(slots=True)
class Generated:
    """All that one row said: ids without the stop token, and the sum of their log-probabilities, stop included."""

    ids: list[int] = field(default_factory=list)
    logprob: float = 0.0
    finish_reason: FinishReason = "length"


def generate(model: Qwen2Audio, inputs: ModelInput, sampling: Sampling, *, stop_ids: frozenset[int]) -> list[Generated]:
    """Answer a whole batch."""
    rows = [Generated() for _ in range(len(inputs.ids))]
    for step in stream(model, inputs, sampling, stop_ids=stop_ids):
        for row, token_id, logprob in zip(rows, step.ids, step.logprobs, strict=True):
            if token_id is None or logprob is None:
                continue
            row.logprob += logprob
            if token_id in stop_ids:
                row.finish_reason = "stop"
            else:
                row.ids.append(token_id)
    return rows


def stream(model: Qwen2Audio, inputs: ModelInput, sampling: Sampling, *, stop_ids: frozenset[int]) -> Iterator[Step]:
    """Answer a batch token by token.

    Args:
        model: in evaluation mode.
        inputs: prompts on the model's device, padded on the left.
        sampling: how to choose, and how many tokens at most.
        stop_ids: any of them ends its row; it is part of the last step that has the row.
    """
    batch, num_prompt = inputs.ids.shape
    device = inputs.ids.device
    sampler = Sampler(sampling, device)
    with torch.inference_mode():
        embeddings, positions, valid = model.embed(inputs), inputs.positions, inputs.valid
        cache = KVCache.empty(
            model.config.text, batch=batch, capacity=num_prompt + sampling.max_new_tokens, like=embeddings
        )
    rows = list(range(batch))  # which prompts the rows still in the cache belong to
    for _ in range(sampling.max_new_tokens):
        with torch.inference_mode():  # never around a yield: it would leak into the caller
            hidden = model.decode(embeddings, positions, valid, cache)[:, -1]
            logits_BV = model.logits(hidden).float()
            ids_B = sampler.choose(logits_BV)
            logprobs_B = logits_BV.log_softmax(dim=-1).gather(1, ids_B[:, None])[:, 0]
        yield _step(batch, rows, ids_B.tolist(), logprobs_B.tolist())
        with torch.inference_mode():
            going = [place for place, token_id in enumerate(ids_B.tolist()) if token_id not in stop_ids]
            if not going:
                return
            if len(going) < len(rows):
                kept = torch.tensor(going, device=device)
                cache.keep(kept)
                ids_B, positions, rows = ids_B[kept], positions[kept], [rows[place] for place in going]
            embeddings = model.language_model.model.embed_tokens(ids_B[:, None])
            positions = positions[:, -1:] + 1
            valid = torch.ones_like(positions, dtype=torch.bool)


def _step(batch: int, rows: list[int], ids: list[int], logprobs: list[float]) -> Step:
    step = Step([None] * batch, [None] * batch)
    for row, token_id, logprob in zip(rows, ids, logprobs, strict=True):
        step.ids[row] = token_id
        step.logprobs[row] = logprob
    return step
