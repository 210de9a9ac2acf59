"""What a decoding loop reports: tokens with their log-probabilities, and rows made of them.

Axes: B batch, V vocabulary.
"""

from dataclasses import dataclass, field

import torch

from auricle.conversation import FinishReason

Alternatives = tuple[tuple[int, float], ...]
"""Ids and their log-probabilities, best first."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token that was said, its log-probability, and the likeliest alternatives where they were asked for.

    ends: whether it is a stop id, or completes a stop text.
    """

    id: int
    logprob: float
    ends: bool
    top: Alternatives = ()


@dataclass(slots=True)
class Generated:
    """All that one row said: tokens without a stop id, and the sum of their log-probabilities, stop included."""

    tokens: list[Token] = field(default_factory=list)
    logprob: float = 0.0
    finish_reason: FinishReason = "length"

    def add(self, token: Token, stop_ids: frozenset[int]) -> None:
        """One more token."""
        self.logprob += token.logprob
        if token.ends:
            self.finish_reason = "stop"
        if token.id not in stop_ids:
            self.tokens.append(token)

    @property
    def ids(self) -> list[int]:
        """The tokens' ids."""
        return [token.id for token in self.tokens]


def chosen_logprobs(logits_BV: torch.Tensor, ids_B: torch.Tensor) -> list[float]:
    """Log-probability of one id a row: its logit less the row's logsumexp, so that no [B, V] result is written."""
    return (logits_BV.gather(1, ids_B[:, None])[:, 0] - logits_BV.logsumexp(dim=-1)).tolist()


def alternatives(logits_BV: torch.Tensor, num: int | None) -> list[Alternatives]:
    """The `num` likeliest ids of each row with their log-probabilities; nothing is computed for None and 0."""
    if not num:
        return [()] * len(logits_BV)
    best = logits_BV.topk(min(num, logits_BV.shape[1]))
    logprobs = best.values - logits_BV.logsumexp(dim=-1, keepdim=True)
    return [tuple(zip(*row, strict=True)) for row in zip(best.indices.tolist(), logprobs.tolist(), strict=True)]
