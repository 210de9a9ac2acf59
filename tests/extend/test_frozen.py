"""Frozen weights in few bits: what they compute, what they pass back, and what they hold."""

import pytest
import torch
from torch import nn

from auricle.errors import UserError
from auricle.extend.frozen import FrozenLinear, freeze_in_bits


@pytest.mark.parametrize("bits", [4, 5, 8])
@pytest.mark.parametrize("bias", [True, False])
def test_it_computes_what_its_rounded_weight_would(bits, bias):
    torch.manual_seed(bits)
    linear, x = nn.Linear(128, 24, bias=bias), torch.randn(3, 5, 128, requires_grad=True)
    frozen = FrozenLinear(linear, bits=bits)
    plain = nn.Linear(128, 24, bias=bias)
    plain.load_state_dict({"weight": frozen.weight} | ({"bias": linear.bias} if bias else {}))
    y_grad = torch.randn(3, 5, 24)
    (ours,) = torch.autograd.grad(frozen(x), x, y_grad)
    (theirs,) = torch.autograd.grad(plain(x), x, y_grad)
    torch.testing.assert_close(frozen(x), plain(x))
    torch.testing.assert_close(ours, theirs)
    error = (frozen.weight - linear.weight).abs().max()
    assert 0 < error < 2 * linear.weight.abs().max() / 2 ** (bits - 1)


def test_it_holds_codes_and_learns_nothing():
    frozen = FrozenLinear(nn.Linear(128, 24), bits=4)
    assert frozen.codes.nbytes == 24 * 128 // 2
    assert [name for name, parameter in frozen.named_parameters() if parameter.requires_grad] == []
    assert isinstance(frozen, nn.Linear)


def test_autocast_multiplies_in_bfloat16_and_hands_back_the_inputs_dtype():
    frozen, x = FrozenLinear(nn.Linear(64, 8), bits=8), torch.randn(4, 64, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = frozen(x)
    y.float().sum().backward()
    assert (y.dtype, x.grad.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(x.grad[0], frozen.weight.sum(0), atol=0.02, rtol=0.02)


def test_only_plain_linear_maps_are_replaced_and_bad_settings_are_named():
    layers = nn.Sequential(nn.Linear(64, 32), nn.LayerNorm(32), nn.Linear(32, 64))
    with pytest.raises(UserError, match="quantised_bits is 3; expected 4, 5 or 8"):
        freeze_in_bits(layers, bits=3)
    with pytest.raises(UserError, match="quantised_bits 4 needs widths that are multiples of 64: got 32; set it to 8"):
        freeze_in_bits(layers, bits=4)
    freeze_in_bits(layers, bits=8)
    assert [type(layer).__name__ for layer in layers] == ["FrozenLinear", "LayerNorm", "FrozenLinear"]
