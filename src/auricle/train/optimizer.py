"""AdamW whose groups follow the run's rates, and the norm of the gradient."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import nn

from auricle.extend import is_adapter, whole
from auricle.train.schedule import PARTS, Rates, ever_moves, moves, part_of
from auricle.train.settings import OptimizerSettings, PhaseSettings

Parameters = Mapping[str, nn.Parameter]
"""By the published names, as `model.named_parameters()` gives them."""


def movable(names: Iterable[str], phases: Sequence[PhaseSettings], *, num_layers: int) -> list[str]:
    """The parameters that move in some phase; of a part that holds adapters, the adapters alone."""
    names = [*names]
    adapted = {part_of(name) for name in names if is_adapter(name)}
    return [
        name
        for name in names
        if ever_moves(name, phases, num_layers=num_layers) and (part_of(name) not in adapted or is_adapter(name))
    ]


def make_optimizer(parameters: Parameters, settings: OptimizerSettings) -> torch.optim.AdamW:
    """Fused AdamW over those that move in some phase; vectors (norms, biases) do not decay."""
    groups = []
    for part in PARTS:
        of_part = [parameter for name, parameter in parameters.items() if part_of(name) == part]
        for params, decay in (
            ([parameter for parameter in of_part if parameter.ndim > 1], settings.weight_decay),
            ([parameter for parameter in of_part if parameter.ndim <= 1], 0.0),
        ):
            if params:
                groups.append({"params": params, "weight_decay": decay, "part": part})
    return torch.optim.AdamW(groups, lr=0.0, betas=settings.betas, fused=True)


def follow(optimizer: torch.optim.Optimizer, parameters: Parameters, now: Rates, *, num_layers: int) -> bool:
    """Set the groups' rates, and which parameters ask for a gradient; whether that set has changed."""
    for group in optimizer.param_groups:
        group["lr"] = now.of(group["part"])
    changed = False
    for name, parameter in parameters.items():
        moving = moves(name, now, num_layers=num_layers)
        changed |= parameter.requires_grad != moving
        parameter.requires_grad_(moving)
    return changed


def clip(parameters: Parameters, largest: float) -> float:
    """Scale the gradient down to a norm of at most `largest`; the norm it had, over all ranks."""
    norm = nn.utils.clip_grad_norm_([p for p in parameters.values() if p.grad is not None], largest)
    return float(whole(norm))
