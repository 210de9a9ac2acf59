"""Recomputed activations: the same gradients, and only the work that each way promises."""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from auricle.extend import recompute
from auricle.extend.recompute import COSTLY, find_operators
from auricle.model import PackedInput, packed_hidden

PRODUCTS = ("aten.mm.default", "aten.addmm.default", "aten.bmm.default")


class Count(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.calls = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls[str(func)] += 1
        return func(*args, **(kwargs or {}))


def step(tiny_model, how):
    """Gradients by name, and the operators that the backward called."""
    model = tiny_model(seed=3).requires_grad_(True)
    recompute(model, how)
    audio = model.config.audio_token_id
    ids = torch.tensor([5, 9, *[audio] * 25, 7, 8, 3, 4])
    features = torch.randn(16, 101, generator=torch.Generator().manual_seed(0))
    pack = PackedInput(ids, (len(ids),), (features,), (100,), (0,))
    loss = packed_hidden(model, pack).square().sum()
    with Count() as count:
        loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return gradients, count.calls


def products(calls):
    return sum(calls[name] for name in PRODUCTS)


@pytest.mark.parametrize("how", ["full", "selective"])
def test_gradients_stay_the_same_and_the_work_is_as_promised(tiny_model, how):
    plain, plain_calls = step(tiny_model, "none")
    ours, calls = step(tiny_model, how)
    assert plain.keys() == ours.keys()
    assert len(plain) > 30
    for name in plain:
        torch.testing.assert_close(ours[name], plain[name], atol=0, rtol=0)
    assert calls["aten.silu.default"] > plain_calls["aten.silu.default"], "elementwise work is done again"
    if how == "selective":
        assert products(calls) == products(plain_calls), "no product is computed twice"
    else:
        assert products(calls) > 1.3 * products(plain_calls)


def test_operators_are_found_by_name_and_those_of_other_versions_are_passed_over():
    found = {str(operator) for operator in find_operators(COSTLY)}
    known = {*PRODUCTS, "aten.baddbmm.default", "aten._scaled_dot_product_flash_attention_for_cpu.default"}
    assert known | {"torch_attn._varlen_attn.default"} <= found <= {f"{name}.default" for name in COSTLY}
    some = find_operators(("aten.mm", "aten._none_such", "no_such_library._attn"))
    assert {str(operator) for operator in some} == {"aten.mm.default"}
