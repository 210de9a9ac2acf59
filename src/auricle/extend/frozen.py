"""Linear maps whose weights stand still and are held in few bits, as QLoRA does with its base model.

Axes: R rows (outputs), C columns (inputs).
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from auricle.errors import UserError
from auricle.quant import GROUP_COLUMNS, Packed, pack_groups, pack_rows, unpack_groups, unpack_rows

_BITS = (4, 5, 8)


class FrozenLinear(nn.Linear):
    """An nn.Linear without a gradient for its weight, which is unpacked when it is used, forward and backward.

    Source of the idea: QLoRA (Dettmers et al. 2023); the packing is this project's own (`quant`).
    """

    def __init__(self, linear: nn.Linear, *, bits: int) -> None:
        nn.Module.__init__(self)  # nn.Linear's own would make a weight
        self.codes: torch.Tensor
        self.scale: torch.Tensor
        self.offset: torch.Tensor
        self.in_features, self.out_features, self.bits = linear.in_features, linear.out_features, bits
        packed = pack_rows(linear.weight) if bits == 8 else pack_groups(linear.weight, bits=bits)
        for part in ("codes", "scale", "offset"):
            self.register_buffer(part, getattr(packed, part))
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach(), requires_grad=False)
        self.held_dtype = linear.weight.dtype

    @property
    def weight(self) -> torch.Tensor:  # type: ignore[override]
        """[R, C] in the dtype that the weight had before it was packed."""
        packed = Packed(self.codes, self.scale, self.offset)
        if self.bits == 8:
            return unpack_rows(packed, self.held_dtype)
        return unpack_groups(packed, self.held_dtype, bits=self.bits)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., C] -> [..., R]."""
        return _Product.apply(x, self)


class _Product(torch.autograd.Function):
    """x @ weight.T + bias that keeps the packed weight for the backward, not the unpacked one."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, linear: FrozenLinear) -> torch.Tensor:
        ctx.linear, ctx.dtype = linear, x.dtype
        return functional.linear(x, linear.weight, linear.bias)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        (grad,) = grads
        return (grad @ ctx.linear.weight.to(grad.dtype)).to(ctx.dtype), None


def freeze_in_bits(layers: nn.Module, *, bits: int) -> None:
    """Put a FrozenLinear in the place of every nn.Linear of the layers.

    Raises:
        UserError: we pack into other bits, or a width is no multiple of a group.
    """
    if bits not in _BITS:
        raise UserError(f"quantised_bits is {bits}; expected 4, 5 or 8, or null to keep the decoder as it is")
    for parent in list(layers.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is not nn.Linear:
                continue
            if bits < 8 and child.in_features % GROUP_COLUMNS:
                raise UserError(
                    f"quantised_bits {bits} needs widths that are multiples of {GROUP_COLUMNS}: "
                    f"got {child.in_features}; set it to 8"
                )
            setattr(parent, name, FrozenLinear(child, bits=bits))
