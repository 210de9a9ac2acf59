"""Linear maps that train through the rounding that they will be shipped with."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from auricle.errors import UserError
from auricle.quant import GROUP_COLUMNS, round_to_groups

_BITS = range(2, 9)


class RoundedLinear(nn.Linear):
    """An nn.Linear that computes with its weight rounded to groups; the gradient goes to the exact weight.

    Straight-through estimator: Bengio, Leonard and Courville 2013.
    """

    bits: int

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in] -> [..., out]."""
        return functional.linear(x, _Round.apply(self.weight, self.bits), self.bias)


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: torch.Tensor, bits: int) -> torch.Tensor:
        return round_to_groups(weight, bits=bits).to(weight.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        return grads[0], None


def train_rounded(layers: nn.Module, *, bits: int) -> None:
    """Let every nn.Linear of the layers hear itself in so many bits a weight, in groups of 64 columns, as `quant`
    packs them. Names, parameters and ties stay as they are.

    Raises:
        UserError: so few or so many bits are no rounding, or a width is no multiple of a group.
    """
    if bits not in _BITS:
        raise UserError(f"rounded_bits is {bits}; expected 2 to 8, or null to train without rounding")
    for name, module in layers.named_modules():
        if type(module) is nn.Linear:
            if module.in_features % GROUP_COLUMNS:
                raise UserError(
                    f"rounded_bits {bits}: {name} has {module.in_features} columns, expected a multiple of "
                    f"{GROUP_COLUMNS}; set it to null"
                )
            module.__class__ = RoundedLinear
            module.bits = bits  # type: ignore[assignment]
