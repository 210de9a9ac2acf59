"""How likely given texts are as what the model says next: one prefill, then all of them side by side.

Axes: B continuations, T tokens, P places, D width, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from auricle.generate.forward import Prefilled
from auricle.model import KVCache, ModelInput, Qwen2Audio

_PLACES = 256  # scored at once: each needs the scores of a whole vocabulary


def score(
    model: Qwen2Audio, prompt: Prefilled, continuations: Sequence[Sequence[int]], *, batch_size: int
) -> list[float]:
    """The sum of log-probabilities of each continuation's ids after the prompt; 0 for one without ids.

    Args:
        model: in evaluation mode.
        prompt: one that was read, by `read` or `read_on`.
        continuations: ids of each text.
        batch_size: how many are read at once.
    """
    with torch.inference_mode():
        first_V = prompt.logits[0].log_softmax(dim=-1)
        scores: list[float] = []
        for start in range(0, len(continuations), batch_size):
            part = continuations[start : start + batch_size]
            firsts = [first_V[ids[0]].item() if ids else 0.0 for ids in part]
            rests = _rest(model, part, prompt.cache, prompt.inputs)
            scores += [first + rest for first, rest in zip(firsts, rests, strict=True)]
    return scores


def _rest(model: Qwen2Audio, part: Sequence[Sequence[int]], cache: KVCache, inputs: ModelInput) -> list[float]:
    """The sums over all ids but each first one; the prompt's cache is copied, not changed."""
    num_read = max(len(ids) - 1 for ids in part)
    if num_read < 1:
        return [0.0] * len(part)
    device = inputs.ids.device
    ids_BT = torch.tensor([[*ids, *[0] * (num_read + 1 - len(ids))] for ids in part], device=device)
    place_T = torch.arange(num_read, device=device)
    real_BT = place_T < torch.tensor([[len(ids) - 1] for ids in part], device=device)
    cache = replace(cache, keys=list(cache.keys), values=list(cache.values))
    cache.keep(torch.zeros(len(part), dtype=torch.int64, device=device))
    embeddings = model.language_model.model.embed_tokens(ids_BT[:, :-1])
    positions_BT = (inputs.positions[:, -1:] + 1 + place_T).expand(len(part), -1)
    hidden_PD = model.decode(embeddings, positions_BT, real_BT, cache)[real_BT]
    said_P = ids_BT[:, 1:][real_BT]
    logprobs_P = [
        model.logits(hidden).float().log_softmax(dim=-1).gather(1, said[:, None])[:, 0]
        for hidden, said in zip(hidden_PD.split(_PLACES), said_P.split(_PLACES), strict=True)
    ]
    logprobs_BT = torch.zeros(real_BT.shape, device=device).masked_scatter(real_BT, torch.cat(logprobs_P))
    return logprobs_BT.sum(dim=1).tolist()
