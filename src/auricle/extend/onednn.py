"""Linear maps of a finished model through oneDNN where torch would call MKL.

torch's own CPU build multiplies float32 matrices with MKL, which keeps to AVX2 on AMD's processors; the oneDNN in the
same build uses AVX-512 there. docs/benchmark.md has the figures of both. Inductor calls the same operator.
"""

import platform

import torch
from torch import nn


class OneDnnLinear(nn.Linear):
    """An nn.Linear, equal but for rounding; it computes as nn.Linear where a gradient may be asked for."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in] -> [..., out]."""
        plain = x.dtype == self.weight.dtype == torch.float32 and x.device.type == self.weight.device.type == "cpu"
        if torch.is_grad_enabled() or not plain:
            return super().forward(x)
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")


def use_onednn(model: nn.Module) -> None:
    """Put a OneDnnLinear that shares its parameters in the place of every nn.Linear, on x86 with oneDNN.

    Names, parameters and ties stay as they are; subclasses of nn.Linear are left alone.
    """
    if platform.machine() not in ("x86_64", "AMD64") or not torch.backends.mkldnn.is_available():
        return
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                setattr(parent, name, _sharing(child))


def _sharing(linear: nn.Linear) -> OneDnnLinear:
    swapped = OneDnnLinear(linear.in_features, linear.out_features, bias=linear.bias is not None, device="meta")
    swapped.weight, swapped.bias = linear.weight, linear.bias
    return swapped.train(linear.training)
