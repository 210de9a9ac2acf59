"""From the scores of every token to the one that is said.

The steps and their order are those of transformers 5.23's logits processors.
Axes: B batch, T tokens seen, N new tokens, V vocabulary, C candidates.
"""

import secrets
from collections.abc import Sequence

import numpy as np
import torch

from auricle.conversation import Sampling
from auricle.model import ModelInput


def penalise_repetition(logits_BV: torch.Tensor, seen_BT: torch.Tensor, penalty: float) -> torch.Tensor:
    """The scores of tokens in `seen`, divided by the penalty where positive and times it where negative.

    Worked example: (2, -2, 1), tokens 0 and 1 seen, penalty 2 -> (1, -4, 1).
    """
    scores_BT = logits_BV.gather(1, seen_BT)
    return logits_BV.scatter(1, seen_BT, torch.where(scores_BT < 0, scores_BT * penalty, scores_BT / penalty))


def bar(logits_BV: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Minus infinity for some ids.

    Worked example: (2, -2, 1) without id 0 -> (-inf, -2, 1).
    """
    return logits_BV.index_fill(1, ids, -torch.inf)


def likeliest(logits_BV: torch.Tensor, top_k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The `top_k` best of each row, those as good as the last of them included -> logits and ids [B, C], by id.

    C is what the row with most ties needs; the other rows are filled up with minus infinity.
    Worked example: (3, 1, 2, 1) with top_k 3 -> (3, 1, 2, 1) and (0, 1, 2, 3); with top_k 2 -> (3, 2) and (0, 2).
    """
    top_k = min(top_k, logits_BV.shape[1])
    best = logits_BV.topk(top_k)
    last_B1 = best.values[:, -1:]
    num_kept = int((logits_BV >= last_B1).sum(dim=-1).max())
    ids_BC = (best if num_kept == top_k else logits_BV.topk(num_kept)).indices.sort(dim=-1).values
    logits_BC = logits_BV.gather(1, ids_BC)
    return logits_BC.masked_fill(logits_BC < last_B1, -torch.inf), ids_BC


def nucleus(logits_BC: torch.Tensor, top_p: float) -> torch.Tensor:
    """Keep the smallest set of likeliest tokens whose probabilities reach `top_p`; the rest becomes minus infinity.

    From the unlikeliest on, tokens fall away while they sum to at most 1 - top_p; of equals the first falls first.
    Worked example: probabilities (0.5, 0.3, 0.2) with top_p 0.6 keep the first two: the first alone stays below 0.6.
    """
    ranked = logits_BC.sort(dim=-1, stable=True)
    falls_BC = ranked.values.softmax(dim=-1).cumsum(dim=-1) <= 1 - top_p
    falls_BC[:, -1] = False
    return logits_BC.masked_fill(torch.empty_like(falls_BC).scatter_(1, ranked.indices, falls_BC), -torch.inf)


def near_best(logits_BC: torch.Tensor, min_p: float) -> torch.Tensor:
    """Keep the tokens that are at least `min_p` times as likely as the likeliest; the rest becomes minus infinity.

    Worked example: probabilities (0.5, 0.3, 0.2) with min_p 0.5 keep the first two, because 0.2 is below 0.25.
    """
    probabilities_BC = logits_BC.softmax(dim=-1)
    best_B1 = probabilities_BC.amax(dim=-1, keepdim=True)
    return logits_BC.masked_fill(probabilities_BC < min_p * best_B1, -torch.inf)


def draw(logits_BC: torch.Tensor, uniform_B: torch.Tensor) -> torch.Tensor:
    """One place a row, as likely as the softmax of its scores says: where the running sum of the probabilities
    first exceeds `uniform`, a number from [0, 1) (the inverse of the distribution function).

    A uniform number falls into [sum before i, sum with i) with probability p_i exactly, and never where p_i is 0.
    Worked example: probabilities (0.5, 0.3, 0.2) and 0.79 -> 1, because 0.5 <= 0.79 < 0.8.
    """
    sums_BC = logits_BC.to(uniform_B.device, torch.float64).softmax(dim=-1).cumsum(dim=-1)
    places_B1 = torch.searchsorted(sums_BC, uniform_B[:, None] * sums_BC[:, -1:], right=True)
    return places_B1[:, 0].to(logits_BC.device)


def uniforms(seed: int | None, indices: Sequence[int], num: int) -> torch.Tensor:
    """float64 [B, N] from [0, 1): a row's numbers follow from the seed and its index alone, never from its batch."""
    entropy = secrets.randbits(64) if seed is None else seed % 2**64
    rows = [np.random.default_rng((entropy, index)).random(num) for index in indices]
    return torch.from_numpy(np.stack(rows))


class History:
    """What the scores of the next token depend on beside the model: the tokens seen, and the answer's length."""

    def __init__(self, sampling: Sampling, inputs: ModelInput, stop_ids: frozenset[int]) -> None:
        self._penalty = sampling.repetition_penalty
        self._num_barred = sampling.min_new_tokens if stop_ids else 0
        self._stop_ids = torch.tensor(sorted(stop_ids), dtype=torch.int64, device=inputs.ids.device)
        self._seen_BT = inputs.ids.where(inputs.valid, inputs.ids[:, -1:])  # padding is no token: a real one twice
        self.num_new = 0

    def apply(self, logits_BV: torch.Tensor) -> torch.Tensor:
        """Scores after the repetition penalty and `min_new_tokens`."""
        if self._penalty != 1:
            logits_BV = penalise_repetition(logits_BV, self._seen_BT, self._penalty)
        if self.num_new < self._num_barred:
            logits_BV = bar(logits_BV, self._stop_ids)
        return logits_BV

    def add(self, ids_B: torch.Tensor) -> None:
        """One more token a row."""
        self.num_new += 1
        if self._penalty != 1:
            self._seen_BT = torch.cat((self._seen_BT, ids_B[:, None]), dim=1)

    def keep(self, rows: torch.Tensor) -> None:
        """Keep only some rows, in that order (a row may be named more than once)."""
        self._seen_BT = self._seen_BT[rows]


class Sampler:
    """Chooses one token a row and step, as `Sampling` says.

    `indices` are the rows' places among all requests: they and the seed make a row's draws, so that neither the
    size of the batch nor the other rows change a sampled answer.
    """

    def __init__(
        self,
        sampling: Sampling,
        inputs: ModelInput,
        *,
        stop_ids: frozenset[int],
        indices: Sequence[int],
        num_said: int = 0,
    ) -> None:
        """`num_said`: tokens of the answers that the inputs end with already."""
        self._sampling = sampling
        self._history = History(sampling, inputs, stop_ids)
        self._history.num_new = num_said
        self._uniform_BN: torch.Tensor | None = None
        if sampling.temperature > 0:
            device = inputs.ids.device
            table_BN = uniforms(sampling.seed, indices, sampling.max_new_tokens)
            self._uniform_BN = table_BN if device.type == "mps" else table_BN.to(device)  # mps has no float64

    def choose(self, logits_BV: torch.Tensor) -> torch.Tensor:
        """float32 scores [B, V] -> ids int64 [B]."""
        step = self._history.num_new
        logits_BV = self._history.apply(logits_BV)
        if self._uniform_BN is None:
            ids_B = logits_BV.argmax(dim=-1)
        else:
            ids_B = self._draw(logits_BV / self._sampling.temperature, self._uniform_BN[:, step])
        self._history.add(ids_B)
        return ids_B

    def keep(self, rows: torch.Tensor) -> None:
        """Keep only some rows, in that order."""
        self._history.keep(rows)
        if self._uniform_BN is not None:
            self._uniform_BN = self._uniform_BN[rows.to(self._uniform_BN.device)]

    def _draw(self, logits_BV: torch.Tensor, uniform_B: torch.Tensor) -> torch.Tensor:
        sampling = self._sampling
        if not sampling.top_k:
            return draw(_filter(logits_BV, sampling), uniform_B)
        logits_BC, ids_BC = likeliest(logits_BV, sampling.top_k)  # what follows never sees the whole vocabulary
        place_B = draw(_filter(logits_BC, sampling), uniform_B)
        return ids_BC.gather(1, place_B[:, None])[:, 0]


def _filter(logits_BC: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    if sampling.top_p < 1:
        logits_BC = nucleus(logits_BC, sampling.top_p)
    if sampling.min_p > 0:
        logits_BC = near_best(logits_BC, sampling.min_p)
    return logits_BC
