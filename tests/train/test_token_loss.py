"""The sliced cross-entropy, against the plain one."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from auricle.train import token_loss
from auricle.train.token_loss import token_nll

Nll = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def plain(hidden_PD: torch.Tensor, head_VD: torch.Tensor, targets_P: torch.Tensor) -> torch.Tensor:
    logits_PV = functional.linear(hidden_PD, head_VD)
    exact = torch.promote_types(logits_PV.dtype, torch.float32)
    return functional.cross_entropy(logits_PV.to(exact), targets_P, reduction="none")


def arguments(
    num: int, width: int, vocabulary: int, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(num + vocabulary)
    hidden = torch.randn(num, width, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    head = (torch.randn(vocabulary, width, generator=generator, dtype=torch.float64) / width**0.5).to(dtype)
    return hidden, head.requires_grad_(), torch.randint(vocabulary, (num,), generator=generator)


def outcome(nll: Nll, hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor) -> list[torch.Tensor]:
    """The losses, and the gradients under an upstream gradient that differs at each position."""
    losses = nll(hidden, head, targets)
    upstream = torch.linspace(-1, 2, len(targets), dtype=losses.dtype)
    return [losses.detach(), *torch.autograd.grad(losses, (hidden, head), upstream)]


def worst(ours: list[torch.Tensor], oracle: list[torch.Tensor]) -> float:
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(ours, oracle, strict=True))


@given(num=st.integers(1, 40), vocabulary=st.integers(2, 60), slice_logits=st.integers(1, 400))
def test_any_slices_equal_the_plain_form(num: int, vocabulary: int, slice_logits: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_loss, "_SLICE_LOGITS", slice_logits)
        given_ = arguments(num, 8, vocabulary)
        ours = outcome(token_nll, *given_)
        assert [x.dtype for x in ours] == [torch.float32] * 3
        assert worst(ours, outcome(plain, *given_)) <= 1e-6
        exact = arguments(num, 8, vocabulary, torch.float64)
        assert worst(outcome(token_nll, *exact), outcome(plain, *exact)) <= 1e-13


def test_the_gradient_is_that_of_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_loss, "_SLICE_LOGITS", 15)
    hidden, head, targets = arguments(5, 4, 11, torch.float64)
    assert torch.autograd.gradcheck(lambda h, w: token_nll(h, w, targets), (hidden, head))


def test_a_target_in_another_slice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a target that no slice claims."""
    given_ = arguments(7, 8, 30)
    monkeypatch.setattr(token_loss, "_SLICE_LOGITS", 70)
    within = token_loss._targets_within
    monkeypatch.setattr(token_loss, "_targets_within", lambda targets, words: within(targets + 1, words))
    assert worst(outcome(token_nll, *given_), outcome(plain, *given_)) > 1e-2


def test_large_logits_cost_no_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss is a small difference of large numbers: here whole ones, which float32 holds exactly, near 100,000."""
    monkeypatch.setattr(token_loss, "_SLICE_LOGITS", 60)
    generator = torch.Generator().manual_seed(0)
    hidden = torch.tensor([[1.0, float(row)] for row in range(4)]).requires_grad_()
    words = torch.randint(-5, 1, (40,), generator=generator)
    head = torch.stack([torch.full((40,), 1e5), words.float()], dim=1).requires_grad_()
    targets = words.topk(4).indices
    truth = outcome(plain, hidden.detach().double().requires_grad_(), head.detach().double().requires_grad_(), targets)
    assert float((outcome(token_nll, hidden, head, targets)[0] - truth[0]).abs().max()) <= 1e-5


@pytest.mark.parametrize("wanted", [(True, False), (False, True)], ids=str)
def test_a_product_nobody_wants_is_left_out(wanted: tuple[bool, bool]) -> None:
    hidden, head, targets = arguments(6, 8, 50)
    hidden.requires_grad_(wanted[0])
    head.requires_grad_(wanted[1])
    with _Largest() as seen:
        token_nll(hidden, head, targets).sum().backward()
    assert ((hidden.grad is None), (head.grad is None)) == tuple(not one for one in wanted)
    assert seen.products == 3  # logits twice, and one gradient


def test_a_tied_head_gathers_both_gradients() -> None:
    table = torch.randn(20, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    ids, targets = torch.tensor([3, 5, 3]), torch.tensor([1, 3, 19])
    ours, oracle = (
        torch.autograd.grad(nll(functional.embedding(ids, table), table, targets).sum(), table)[0]
        for nll in (token_nll, plain)
    )
    assert worst([ours], [oracle]) <= 1e-6


def test_autocast_multiplies_in_bfloat16_and_adds_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_loss, "_SLICE_LOGITS", 200)
    hidden, head, targets = arguments(20, 64, 90)
    with torch.autocast("cpu", torch.bfloat16), _Largest() as seen:
        ours = outcome(token_nll, hidden, head, targets)
        oracle = outcome(plain, hidden, head, targets)
    assert [x.dtype for x in ours] == [torch.float32] * 3
    assert seen.factors == {torch.bfloat16}
    assert worst(ours[:1], oracle[:1]) <= 1e-6  # the same rounded logits
    assert worst(ours[1:], oracle[1:]) <= 1e-2  # rounded on the way back
    full = outcome(plain, hidden, head, targets)
    assert worst(ours, full) > 1e-4  # negative control: this was bfloat16


def test_bfloat16_weights_get_bfloat16_gradients() -> None:
    hidden, head, targets = arguments(9, 16, 40, torch.bfloat16)
    ours = outcome(token_nll, hidden, head, targets)
    assert [x.dtype for x in ours] == [torch.float32, torch.bfloat16, torch.bfloat16]
    assert worst([x.float() for x in ours], [x.float() for x in outcome(plain, hidden, head, targets)]) <= 0.02


def test_no_position_at_all_gives_gradients_of_zero() -> None:
    hidden, head, targets = arguments(0, 8, 50)
    losses = token_nll(hidden, head, targets)
    losses.sum().backward()
    assert losses.shape == (0,)
    assert hidden.grad.shape == (0, 8)
    assert not head.grad.any()


class _Largest(TorchDispatchMode):
    """Watches what is made: the largest tensor, the products and the precision of what is multiplied."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers, self.products, self.factors = 0, 0, set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.numbers = max(self.numbers, out.numel())
        if func is torch.ops.aten.mm.default:
            self.products += 1
            self.factors |= {x.dtype for x in args}
        return out


def test_no_tensor_outgrows_a_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """P and V so large that their product would be eight times as much as a slice and the head itself."""
    monkeypatch.setattr(token_loss, "_SLICE_LOGITS", 1 << 13)
    hidden, head, targets = arguments(256, 16, 512)
    with _Largest() as seen:
        outcome(token_nll, hidden, head, targets)
    assert seen.numbers == 1 << 13
    with _Largest() as seen:
        outcome(plain, hidden, head, targets)
    assert seen.numbers == 256 * 512  # negative control


MEASURE = """
import json, sys, torch
from auricle.bench.child import peak_bytes
from torch.nn import functional
from auricle.train.token_loss import token_nll

def plain(hidden, head, targets):
    return functional.cross_entropy((hidden @ head.T).float(), targets, reduction="none")

def run(nll, num, vocabulary):
    hidden = torch.randn(num, 64, requires_grad=True)
    head = torch.randn(vocabulary, 64, requires_grad=True)
    hidden.grad, head.grad = torch.zeros_like(hidden), torch.zeros_like(head)  # resident before
    before = peak_bytes()
    nll(hidden, head, torch.randint(vocabulary, (num,))).sum().backward()
    return peak_bytes() - before

nll = {"ours": token_nll, "plain": plain}[sys.argv[1]]
run(nll, 64, 64)
print(json.dumps(run(nll, 4096, 156032)))
"""


@pytest.mark.slow
def test_memory_at_the_published_vocabulary_is_a_tenth() -> None:
    """4096 positions and 156,032 words: the peak of a fresh process beyond weights and gradients."""
    peak_bytes = {
        side: json.loads(subprocess.run([sys.executable, "-c", MEASURE, side], check=True, capture_output=True).stdout)
        for side in ("ours", "plain")
    }
    assert peak_bytes["plain"] >= 2 * 4 * 4096 * 156032, peak_bytes  # at least the logits and their gradient
    assert peak_bytes["ours"] <= 0.1 * peak_bytes["plain"], peak_bytes
