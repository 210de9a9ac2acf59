"""Prefill once, then one token a row and step until every row has ended or reached its limit.

Axes: B batch, V vocabulary.
"""

from collections.abc import Iterable, Iterator, Sequence

import torch

from auricle.conversation import Sampling
from auricle.generate.beam import beam_search
from auricle.generate.forward import advance, prefill
from auricle.generate.sampler import Sampler
from auricle.generate.stopping import Stopping
from auricle.generate.tokens import Generated, Token, alternatives, chosen_logprobs
from auricle.model import KVCache, ModelInput, Qwen2Audio
from auricle.text import Tokenizer


def generate(
    model: Qwen2Audio,
    inputs: ModelInput,
    sampling: Sampling,
    *,
    stop_ids: frozenset[int],
    tokenizer: Tokenizer | None = None,
    indices: Sequence[int] | None = None,
) -> list[Generated]:
    """Answer a whole batch: arguments as `stream`'s; `num_beams` above 1 is beam search."""
    if sampling.num_beams > 1:
        return beam_search(model, inputs, sampling, stop_ids=stop_ids, tokenizer=tokenizer)
    steps = stream(model, inputs, sampling, stop_ids=stop_ids, tokenizer=tokenizer, indices=indices)
    return collect(steps, len(inputs.ids), stop_ids)


def collect(steps: Iterable[list[Token | None]], num_rows: int, stop_ids: frozenset[int]) -> list[Generated]:
    """What every row said, once all have ended."""
    rows = [Generated() for _ in range(num_rows)]
    for step in steps:
        for row, token in zip(rows, step, strict=True):
            if token is not None:
                row.add(token, stop_ids)
    return rows


def stream(
    model: Qwen2Audio,
    inputs: ModelInput,
    sampling: Sampling,
    *,
    stop_ids: frozenset[int],
    tokenizer: Tokenizer | None = None,
    indices: Sequence[int] | None = None,
) -> Iterator[list[Token | None]]:
    """Answer a batch token by token: each step is one token a row, None where the row had already ended.

    Args:
        model: in evaluation mode.
        inputs: prompts on the model's device, padded on the left.
        sampling: how to choose, when to stop, what to report; without beams, which have no token until the end.
        stop_ids: any of them ends its row; it is part of the last step that has the row.
        tokenizer: finds the texts of `sampling.stop`; not needed without them.
        indices: each row's place among all requests, which its draws depend on; counted from 0 unless given.
    """
    if sampling.num_beams > 1:
        raise ValueError(f"{sampling.num_beams} beams have no token until the end: call generate")
    with torch.inference_mode():  # never around a yield: it would leak into the caller
        logits_BV, cache = prefill(model, inputs)
    yield from go_on(model, inputs, logits_BV, cache, sampling, stop_ids=stop_ids, tokenizer=tokenizer, indices=indices)


def go_on(
    model: Qwen2Audio,
    inputs: ModelInput,
    logits_BV: torch.Tensor,
    cache: KVCache,
    sampling: Sampling,
    *,
    stop_ids: frozenset[int],
    tokenizer: Tokenizer | None = None,
    indices: Sequence[int] | None = None,
) -> Iterator[list[Token | None]]:
    """The answers to prompts that have been read, as `prefill` left them; the cache is used up."""
    batch, device = len(inputs.ids), inputs.ids.device
    stopping = [Stopping(stop_ids, sampling.stop, tokenizer) for _ in range(batch)]
    rows = list(range(batch))  # which prompts the rows still in the cache belong to
    with torch.inference_mode():
        sampler = Sampler(sampling, inputs, stop_ids=stop_ids, indices=rows if indices is None else indices)
        positions_B = inputs.positions[:, -1]
    for num_left in reversed(range(sampling.max_new_tokens)):
        with torch.inference_mode():
            ids_B = sampler.choose(logits_BV)
            ids, logprobs = ids_B.tolist(), chosen_logprobs(logits_BV, ids_B)
            top = alternatives(logits_BV, sampling.logprobs)
        ends = [stopping[row].ends(token_id) for row, token_id in zip(rows, ids, strict=True)]
        step: list[Token | None] = [None] * batch
        for row, token in zip(rows, map(Token, ids, logprobs, ends, top), strict=True):
            step[row] = token
        yield step
        going = [place for place, ended in enumerate(ends) if not ended]
        if not going or not num_left:
            return
        with torch.inference_mode():
            if len(going) < len(rows):
                kept = torch.tensor(going, device=device)
                cache.keep(kept)
                sampler.keep(kept)
                ids_B, positions_B, rows = ids_B[kept], positions_B[kept], [rows[place] for place in going]
            positions_B = positions_B + 1
            logits_BV = advance(model, ids_B, positions_B, cache)
