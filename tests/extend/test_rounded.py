"""Training through rounding: what is computed, and where the gradient goes."""

import pytest
import torch
from torch import nn

from auricle.errors import UserError
from auricle.extend.rounded import train_rounded
from auricle.quant import pack_groups, unpack_groups


def test_it_computes_what_ships_and_learns_the_exact_weight():
    torch.manual_seed(0)
    layers, x = nn.Sequential(nn.Linear(128, 16), nn.ReLU()), torch.randn(6, 128)
    exact = layers[0].weight.detach().clone()
    train_rounded(layers, bits=5)
    shipped = unpack_groups(pack_groups(exact, bits=5), torch.float32, bits=5)
    torch.testing.assert_close(layers(x), torch.relu(nn.functional.linear(x, shipped, layers[0].bias)))
    assert not torch.allclose(shipped, exact)
    layers(x).sum().backward()
    alive = (layers(x) > 0).float()
    torch.testing.assert_close(layers[0].weight.grad, alive.T @ x)
    torch.testing.assert_close(layers[0].weight.detach(), exact, atol=0, rtol=0)
    assert list(layers.state_dict()) == ["0.weight", "0.bias"]


def test_wrong_bits_and_widths_are_named():
    with pytest.raises(UserError, match="rounded_bits is 1; expected 2 to 8, or null"):
        train_rounded(nn.Sequential(nn.Linear(64, 64)), bits=1)
    with pytest.raises(UserError, match="rounded_bits 4: 0 has 32 columns, expected a multiple of 64; set it to null"):
        train_rounded(nn.Sequential(nn.Linear(32, 64)), bits=4)
