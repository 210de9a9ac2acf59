"""Attention over segments that lie one after another, none seeing another; the device chooses how.

Axes: B is 1, T tokens or states of all segments, L of one; N, K, H as in layers; G query heads to a key-value head.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from auricle.model.layers import Attend, causal_mask

_WRITTEN_OUT_TOKENS = 512  # longer segments: the fused kernel, whose memory does not grow with their square


def packed_attention(lengths: Sequence[int], *, causal: bool, window: int | None, device: torch.device) -> Attend:
    """Attention within each segment: time grows with the sum of L^2, not with T^2.

    Half precision on a GPU goes to the variable-length flash kernel; everything else segment by segment.

    Args:
        lengths: of the segments, in the order in which they fill T.
        causal: tokens see none after themselves.
        window: as in `causal_mask`; None where not causal.
        device: where q, k and v lie.
    """
    one_by_one = segment_attention(lengths, causal=causal, window=window, device=device)
    if device.type != "cuda" or not lengths or torch.cuda.get_device_capability(device) < (8, 0):
        return one_by_one
    together = varlen_attention(lengths, causal=causal, window=window, device=device)

    def attend(q_BNTH: torch.Tensor, k_BKTH: torch.Tensor, v_BKTH: torch.Tensor) -> torch.Tensor:
        fits = q_BNTH.dtype in (torch.float16, torch.bfloat16) and q_BNTH.shape[-1] % 8 == 0
        return (together if fits else one_by_one)(q_BNTH, k_BKTH, v_BKTH)

    return attend


def varlen_attention(lengths: Sequence[int], *, causal: bool, window: int | None, device: torch.device) -> Attend:
    """All segments in one call of torch's flash kernel."""
    from torch.nn.attention.varlen import varlen_attn

    ends = torch.tensor([0, *lengths], device=device).cumsum(0, dtype=torch.int32)
    seen_before = -1 if window is None else window - 1  # the kernel does not count the token itself; -1 is all
    seen = (seen_before, 0 if causal else -1)
    longest = max(lengths)

    def attend(q_BNTH: torch.Tensor, k_BKTH: torch.Tensor, v_BKTH: torch.Tensor) -> torch.Tensor:
        group = q_BNTH.shape[1] // k_BKTH.shape[1]
        k, v = (x[0].transpose(0, 1).repeat_interleave(group, dim=1) for x in (k_BKTH, v_BKTH))  # for torch < 2.13
        q = q_BNTH[0].transpose(0, 1)
        out_TNH: Any = varlen_attn(q, k, v, ends, ends, longest, longest, window_size=seen)  # more only where asked
        return out_TNH.transpose(0, 1)[None]

    return attend


def segment_attention(lengths: Sequence[int], *, causal: bool, window: int | None, device: torch.device) -> Attend:
    """One segment after another, the shorter ones written out in matrix products.

    On a CPU (two cores of an AMD EPYC 9005, heads of 64) the fused kernel's forward and backward take 1.1 to 1.4 times
    as long with 60 to 250 tokens in float32, 1.8 to 3.6 times with 60 to 800 in bfloat16; the longest are its own.
    """
    parts = list(lengths) or [0]
    longest_written = max((length for length in parts if length <= _WRITTEN_OUT_TOKENS), default=0)
    mask_LL = _mask(longest_written, window, device)
    bias_LL = torch.zeros(mask_LL.shape, device=device).masked_fill(~mask_LL, float("-inf")) if causal else None

    def attend(q_BNTH: torch.Tensor, k_BKTH: torch.Tensor, v_BKTH: torch.Tensor) -> torch.Tensor:
        out_LNH = []
        for q, k, v in zip(*(x[0].split(parts, dim=1) for x in (q_BNTH, k_BKTH, v_BKTH)), strict=True):
            if q.shape[1] <= _WRITTEN_OUT_TOKENS:
                out = _written_out(q, k, v, bias_LL)
            else:
                out = _fused(q, k, v, causal=causal, window=window)
            out_LNH.append(out.transpose(0, 1))
        return torch.cat(out_LNH).transpose(0, 1)[None]

    return attend


def _written_out(
    q_NLH: torch.Tensor, k_KLH: torch.Tensor, v_KLH: torch.Tensor, bias_LL: torch.Tensor | None
) -> torch.Tensor:
    """One segment -> [N, L, H]; the query heads of a group are rows of one product, so that no key is repeated."""
    num_heads, num_tokens, head_width = q_NLH.shape
    group = num_heads // len(k_KLH)
    q_KRH = (q_NLH * head_width**-0.5).unflatten(0, (-1, group)).flatten(1, 2)  # R = G x L rows
    scores_KGLL = (q_KRH @ k_KLH.transpose(1, 2)).unflatten(1, (group, num_tokens))
    if bias_LL is not None:
        scores_KGLL = scores_KGLL + bias_LL[:num_tokens, :num_tokens].to(scores_KGLL.dtype)
    weights_KRL = scores_KGLL.softmax(dim=-1).flatten(1, 2).to(v_KLH.dtype)
    return (weights_KRL @ v_KLH).view(num_heads, num_tokens, head_width)


def _fused(
    q_NLH: torch.Tensor, k_KLH: torch.Tensor, v_KLH: torch.Tensor, *, causal: bool, window: int | None
) -> torch.Tensor:
    """One segment -> [N, L, H]."""
    whole = window is None or window >= q_NLH.shape[1]
    mask_LL = None if whole else _mask(q_NLH.shape[1], window, q_NLH.device)
    out_BNLH = functional.scaled_dot_product_attention(
        q_NLH[None], k_KLH[None], v_KLH[None], attn_mask=mask_LL, is_causal=causal and whole, enable_gqa=True
    )
    return out_BNLH[0]


def _mask(num_tokens: int, window: int | None, device: torch.device) -> torch.Tensor:
    """bool [L, L], true where a token sees another."""
    return causal_mask(torch.ones(1, num_tokens, dtype=torch.bool, device=device), num_tokens, window=window)[0, 0]
