"""From the scores of every token to the one that is said.

Axes: B batch, V vocabulary.
"""

import torch

from auricle.conversation import Sampling


class Sampler:
    """Chooses one token a row; greedy at temperature 0, else nucleus sampling from a generator of its own."""

    def __init__(self, sampling: Sampling, device: torch.device) -> None:
        self._temperature = sampling.temperature
        self._top_p = sampling.top_p
        self._generator = torch.Generator(device)
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed)

    def choose(self, logits_BV: torch.Tensor) -> torch.Tensor:
        """float32 scores [B, V] -> ids int64 [B]."""
        if self._temperature == 0:
            return logits_BV.argmax(dim=-1)
        probabilities_BV = (logits_BV / self._temperature).softmax(dim=-1)
        probabilities_BV = nucleus(probabilities_BV, self._top_p)
        return torch.multinomial(probabilities_BV, 1, generator=self._generator)[:, 0]


def nucleus(probabilities_BV: torch.Tensor, top_p: float) -> torch.Tensor:
    """Keep the smallest set of likeliest tokens whose probabilities reach `top_p`; the rest becomes 0.

    Worked example: (0.5, 0.3, 0.2) with top_p 0.6 keeps the first two, because the first alone stays below 0.6.
    """
    if top_p >= 1:
        return probabilities_BV
    ranked_BV, order_BV = probabilities_BV.sort(dim=-1, descending=True)
    mass_before_BV = ranked_BV.cumsum(dim=-1) - ranked_BV
    kept_BV = ranked_BV * (mass_before_BV < top_p)
    return torch.zeros_like(probabilities_BV).scatter(-1, order_BV, kept_BV)
