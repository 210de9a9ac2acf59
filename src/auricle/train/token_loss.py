"""Cross-entropy of supervised positions, a slice of the vocabulary at a time; no logits outlive their slice.

Axes: P supervised positions, D width, V vocabulary, S words of a slice, C slices.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch.autograd.function import once_differentiable

_SLICE_LOGITS = 1 << 24  # positions times words at once: 64 MiB of float32


def token_nll(hidden_PD: torch.Tensor, head_VD: torch.Tensor, targets_P: torch.Tensor) -> torch.Tensor:
    """float32 [P]: -log softmax(hidden @ head.T)[target].

    Products in autocast's precision where it is on, else in that of `hidden`; all after them in float32 (float64 for
    float64). The backward computes the logits again, takes any gradient for each position, and leaves out the product
    for an argument that needs none.
    """
    kind = hidden_PD.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden_PD.dtype
    with torch.autocast(kind, enabled=False):
        return _TokenNll.apply(hidden_PD, head_VD, targets_P, dtype)


class _TokenNll(torch.autograd.Function):
    """Slices run over the vocabulary, not over positions: each gradient of the head is then one product, written
    once, as precise as the plain form's, and a head in another precision is converted slice by slice."""

    @staticmethod
    def forward(
        ctx: Any, hidden_PD: torch.Tensor, head_VD: torch.Tensor, targets_P: torch.Tensor, dtype: torch.dtype
    ) -> torch.Tensor:
        low_PD = hidden_PD.to(dtype)
        hit_P = low_PD.new_zeros(len(targets_P), dtype=_exact(dtype))
        tops, sums = [], []  # of each slice: the largest logit, and the sum of exp(logit - largest)
        for words in _slices(head_VD, targets_P):
            logits_PS = _logits(low_PD, head_VD[words].to(dtype))
            rows, columns = _targets_within(targets_P, words)
            hit_P[rows] = logits_PS[rows, columns]
            tops.append(logits_PS.amax(dim=1))
            sums.append(logits_PS.sub_(tops[-1][:, None]).exp_().sum(dim=1))
        tops_CP = torch.stack(tops)
        top_P = tops_CP.amax(dim=0)
        sum_P = (torch.stack(sums) * (tops_CP - top_P).exp()).sum(dim=0)
        ctx.save_for_backward(hidden_PD, head_VD, targets_P, top_P, sum_P)
        ctx.dtype = dtype
        return sum_P.log() - (hit_P - top_P)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_P: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:
        hidden_PD, head_VD, targets_P, top_P, sum_P = ctx.saved_tensors
        needs_hidden, needs_head = ctx.needs_input_grad[:2]
        low_PD = hidden_PD.to(ctx.dtype)
        grad_hidden_PD = torch.zeros_like(low_PD, dtype=sum_P.dtype) if needs_hidden else None
        grad_head_VD = torch.empty_like(head_VD) if needs_head else None
        with torch.autocast(hidden_PD.device.type, enabled=False):
            for words in _slices(head_VD, targets_P):
                low_SD = head_VD[words].to(ctx.dtype)
                grad_PS = _logits(low_PD, low_SD).sub_(top_P[:, None]).exp_().mul_((grad_P / sum_P)[:, None])
                rows, columns = _targets_within(targets_P, words)
                grad_PS[rows, columns] -= grad_P[rows]
                low_PS = grad_PS.to(ctx.dtype)
                if grad_hidden_PD is not None:
                    grad_hidden_PD += low_PS @ low_SD
                if grad_head_VD is not None:
                    grad_head_VD[words] = low_PS.T @ low_PD
        return None if grad_hidden_PD is None else grad_hidden_PD.to(hidden_PD.dtype), grad_head_VD, None, None


def _logits(low_PD: torch.Tensor, low_SD: torch.Tensor) -> torch.Tensor:
    """[P, S], exact from here on; the caller's to change."""
    return (low_PD @ low_SD.T).to(_exact(low_PD.dtype))


def _exact(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _slices(head_VD: torch.Tensor, targets_P: torch.Tensor) -> Iterator[slice]:
    """The vocabulary in slices of at most `_SLICE_LOGITS` logits."""
    num_words = max(1, _SLICE_LOGITS // max(1, len(targets_P)))
    for first in range(0, len(head_VD), num_words):
        yield slice(first, min(first + num_words, len(head_VD)))


def _targets_within(targets_P: torch.Tensor, words: slice) -> tuple[torch.Tensor, torch.Tensor]:
    """(positions, columns) of the targets that lie in a slice."""
    rows = ((targets_P >= words.start) & (targets_P < words.stop)).nonzero()[:, 0]
    return rows, targets_P[rows] - words.start
