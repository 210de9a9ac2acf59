"""The Qwen2 decoder: embeddings in, hidden states out.

Axes: B batch, T tokens, D width, V vocabulary; N, K, H as in layers.
"""

import torch
from torch import nn
from torch.nn import functional

from auricle.model.config import DecoderConfig
from auricle.model.layers import Attend, RMSNorm, merge_heads, rotary_tables, rotate, split_heads

Rotary = tuple[torch.Tensor, torch.Tensor]


class DecoderAttention(nn.Module):
    """Grouped-query self-attention with rotary positions; bias on q, k and v only."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.head_width = config.head_width
        query_width, kv_width = config.num_heads * config.head_width, config.num_kv_heads * config.head_width
        self.q_proj = nn.Linear(config.width, query_width)
        self.k_proj = nn.Linear(config.width, kv_width)
        self.v_proj = nn.Linear(config.width, kv_width)
        self.o_proj = nn.Linear(query_width, config.width, bias=False)

    def forward(self, x_BTD: torch.Tensor, rotary: Rotary, attend: Attend) -> torch.Tensor:
        """[B, T, D] -> [B, T, D]."""
        q, k, v = (split_heads(proj(x_BTD), self.head_width) for proj in (self.q_proj, self.k_proj, self.v_proj))
        return self.o_proj(merge_heads(attend(rotate(q, rotary), rotate(k, rotary), v)))


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x))."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.width, config.mlp_width, bias=False)
        self.up_proj = nn.Linear(config.width, config.mlp_width, bias=False)
        self.down_proj = nn.Linear(config.mlp_width, config.width, bias=False)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """[B, T, D] -> [B, T, D]."""
        return self.down_proj(functional.silu(self.gate_proj(x_BTD)) * self.up_proj(x_BTD))


class DecoderLayer(nn.Module):
    """Pre-norm attention and SwiGLU, both residual."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.width, eps=config.norm_eps)
        self.self_attn = DecoderAttention(config)
        self.post_attention_layernorm = RMSNorm(config.width, eps=config.norm_eps)
        self.mlp = SwiGLU(config)

    def forward(self, x_BTD: torch.Tensor, rotary: Rotary, attend: Attend) -> torch.Tensor:
        """[B, T, D] -> [B, T, D]."""
        x_BTD = x_BTD + self.self_attn(self.input_layernorm(x_BTD), rotary, attend)
        return x_BTD + self.mlp(self.post_attention_layernorm(x_BTD))


class Decoder(nn.Module):
    """Token embeddings, layers, last norm."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.width)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.num_layers))
        self.norm = RMSNorm(config.width, eps=config.norm_eps)

    def forward(self, x_BTD: torch.Tensor, positions_BT: torch.Tensor, attention: list[Attend]) -> torch.Tensor:
        """Embeddings [B, T, D], positions [B, T] and one attention a layer -> hidden states [B, T, D]."""
        rotary = rotary_tables(positions_BT, head_width=self.config.head_width, theta=self.config.rope_theta)
        for layer, attend in zip(self.layers, attention, strict=True):
            x_BTD = layer(x_BTD, rotary, attend)
        return self.norm(x_BTD)


class LanguageModel(nn.Module):
    """The decoder and its head; a tied head is the embedding table itself."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.model = Decoder(config)
        self.lm_head = nn.Linear(config.width, config.vocab_size, bias=False)
        self.tie()

    def tie(self) -> None:
        """Let head and embeddings share one parameter where the configuration says so."""
        if self.model.config.tied_head:
            self.lm_head.weight = self.model.embed_tokens.weight
