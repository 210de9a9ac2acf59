"""What a stage minimises: from each supervised token's negative log-likelihood to a sum and its count."""

from dataclasses import dataclass, field
from typing import Protocol

import torch

from auricle.data import Pack


@dataclass(frozen=True, slots=True)
class Loss:
    """The sum over a pack, with its graph, and sums and counts to log: name -> (sum, count), plain numbers."""

    sum: torch.Tensor
    logged: dict[str, tuple[float, float]] = field(default_factory=dict)


class Objective(Protocol):
    """A loss that is a sum over items (tokens, pairs) divided by how many there are in the step, over all ranks."""

    def count(self, pack: Pack) -> float:
        """How many items the pack has; known before the forward."""
        ...

    def __call__(self, nll_P: torch.Tensor, pack: Pack) -> Loss:
        """float32 [supervised] negative log-likelihoods of `pack.targets` -> the sum over the pack's items."""
        ...


class CrossEntropy:
    """The mean over supervised tokens, as in stages 1 and 2; logged by task as well."""

    def count(self, pack: Pack) -> float:
        """Supervised tokens."""
        return float(len(pack.targets))

    def __call__(self, nll_P: torch.Tensor, pack: Pack) -> Loss:
        """The sum of all."""
        detached_P = nll_P.detach()
        logged = {"loss": (detached_P.sum().item(), float(len(detached_P)))}
        for task in sorted({label.task for label in pack.labels}):
            of_task = torch.tensor([label.task == task for label in pack.labels], device=nll_P.device)
            mine_P = detached_P[of_task[pack.sequences]]
            logged[f"loss/{task}"] = (mine_P.sum().item(), float(len(mine_P)))
        return Loss(nll_P.sum(), logged)
