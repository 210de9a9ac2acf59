"""Attention functions, norm and rotary positions that the two towers are made of.

Axes: B batch, T tokens or states, N heads, K key-value heads, H head width, D width.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(q [B N T H], k [B K T H], v [B K T H]) -> [B N T H]. Which keys are seen is the function's own affair."""


def dense_attention(seen: torch.Tensor | None) -> Attend:
    """Attention over all keys where `seen`, a bool tensor that broadcasts to [B N T T], is true; None sees all."""

    def attend(q_BNTH: torch.Tensor, k_BKTH: torch.Tensor, v_BKTH: torch.Tensor) -> torch.Tensor:
        grouped = q_BNTH.shape[1] != k_BKTH.shape[1]
        return functional.scaled_dot_product_attention(q_BNTH, k_BKTH, v_BKTH, attn_mask=seen, enable_gqa=grouped)

    return attend


def causal_mask(valid_BT: torch.Tensor, num_queries: int, *, window: int | None = None) -> torch.Tensor:
    """bool [B, 1, queries, T]: the last `num_queries` tokens see every valid token up to themselves.

    Padding sees itself, so that no row of the softmax is empty.

    window: only the last so many places are seen, the token's own included; None sees all.
    """
    num_tokens = valid_BT.shape[1]
    key = torch.arange(num_tokens, device=valid_BT.device)
    query = key[num_tokens - num_queries :, None]
    near = key > query - (num_tokens if window is None else window)
    return ((key <= query) & near & valid_BT[:, None, :] | (key == query))[:, None]


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight; the mean and the division in float32."""

    def __init__(self, width: int, *, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """[..., D] -> [..., D]."""
        x = x_BTD.float()
        x = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)
        return self.weight * x.to(x_BTD.dtype)


def rotary_tables(positions_BT: torch.Tensor, *, head_width: int, theta: float) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin, float32 [B, 1, T, H]: position times theta^(-2i/H), the H/2 angles repeated for both halves."""
    exponent = torch.arange(0, head_width, 2, device=positions_BT.device, dtype=torch.float32) / head_width
    angles = positions_BT[:, None, :, None].float() * theta**-exponent
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def rotate(x_BNTH: torch.Tensor, rotary: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Turn each pair (i, i + H/2) by its angle."""
    cos, sin = (table.to(x_BNTH.dtype) for table in rotary)
    first, second = x_BNTH.chunk(2, dim=-1)
    return x_BNTH * cos + torch.cat((-second, first), dim=-1) * sin


def split_heads(x_BTD: torch.Tensor, head_width: int) -> torch.Tensor:
    """[B, T, N * H] -> [B, N, T, H]."""
    return x_BTD.unflatten(-1, (-1, head_width)).transpose(1, 2)


def merge_heads(x_BNTH: torch.Tensor) -> torch.Tensor:
    """[B, N, T, H] -> [B, T, N * H]."""
    return x_BNTH.transpose(1, 2).flatten(2)
