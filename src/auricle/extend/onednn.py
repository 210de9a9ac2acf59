"""Linear maps of a finished model through oneDNN where torch would call MKL.

torch's own CPU build multiplies float32 matrices with MKL, which keeps to AVX2 on AMD's processors; the oneDNN in the
same build uses AVX-512 there. docs/benchmark.md has the figures of both. Inductor calls the same operator.
"""

import platform

import torch
from torch import nn
from torch.nn import functional

_BLOCK_ROWS = 512  # at once: more of them are no faster
_STEP_ROWS = 64


class OneDnnLinear(nn.Linear):
    """An nn.Linear, equal but for rounding; it computes as nn.Linear where a gradient may be asked for.

    oneDNN keeps a program for every shape it has seen, 1024 of them, half a megabyte each and more. So rows are
    multiplied in blocks of a few sizes, the last one filled up with zeros.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in] -> [..., out]."""
        plain = x.dtype == self.weight.dtype == torch.float32 and x.device.type == self.weight.device.type == "cpu"
        if torch.is_grad_enabled() or not plain or not x.numel():
            return super().forward(x)
        blocks = [self._block(rows) for rows in x.reshape(-1, self.in_features).split(_BLOCK_ROWS)]
        return (blocks[0] if len(blocks) == 1 else torch.cat(blocks)).view(*x.shape[:-1], self.out_features)

    def _block(self, rows: torch.Tensor) -> torch.Tensor:
        """[R, in] -> [R, out]."""
        missing = block_rows(len(rows)) - len(rows)
        if missing:
            rows = functional.pad(rows, (0, 0, 0, missing))
        product = torch.ops.mkldnn._linear_pointwise(rows, self.weight, self.bias, "none", [], "")
        return product[: len(rows) - missing]


def block_rows(num_rows: int) -> int:
    """The size of the block that holds so many rows: a power of two up to 64, then a multiple of 64."""
    if num_rows <= _STEP_ROWS:
        return 1 << (num_rows - 1).bit_length()
    return -(-num_rows // _STEP_ROWS) * _STEP_ROWS


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
