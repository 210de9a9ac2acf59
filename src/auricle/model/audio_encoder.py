"""The Whisper-style encoder on real frames only, with Qwen2-Audio's pooling before the last norm.

Axes: W windows, M mel bins, F mel frames, S encoder states, A audio tokens, D width.
"""

import torch
from torch import nn
from torch.nn import functional

from auricle import units
from auricle.model.config import AudioEncoderConfig
from auricle.model.layers import Attend, dense_attention, merge_heads, split_heads


class AudioAttention(nn.Module):
    """Multi-head self-attention; the keys have no bias (as in Whisper)."""

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        self.head_width = config.width // config.num_heads
        self.q_proj = nn.Linear(config.width, config.width)
        self.k_proj = nn.Linear(config.width, config.width, bias=False)
        self.v_proj = nn.Linear(config.width, config.width)
        self.out_proj = nn.Linear(config.width, config.width)

    def forward(self, x_WSD: torch.Tensor, attend: Attend) -> torch.Tensor:
        """[W, S, D] -> [W, S, D]."""
        q, k, v = (split_heads(proj(x_WSD), self.head_width) for proj in (self.q_proj, self.k_proj, self.v_proj))
        return self.out_proj(merge_heads(attend(q, k, v)))


class AudioLayer(nn.Module):
    """Pre-norm attention and a GELU feed-forward, both residual."""

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        self.self_attn_layer_norm = nn.LayerNorm(config.width)
        self.self_attn = AudioAttention(config)
        self.final_layer_norm = nn.LayerNorm(config.width)
        self.fc1 = nn.Linear(config.width, config.mlp_width)
        self.fc2 = nn.Linear(config.mlp_width, config.width)

    def forward(self, x_WSD: torch.Tensor, attend: Attend) -> torch.Tensor:
        """[W, S, D] -> [W, S, D]."""
        x_WSD = x_WSD + self.self_attn(self.self_attn_layer_norm(x_WSD), attend)
        return x_WSD + self.fc2(functional.gelu(self.fc1(self.final_layer_norm(x_WSD))))


class AudioEncoder(nn.Module):
    """Mel frames (100 /s) -> states (50 /s) -> pooled, normed audio tokens (25 /s) of the encoder's width.

    1. two convolutions with GELU; the second keeps every other frame
    2. cropped to the states of real frames, plus the position table
    3. transformer layers; a state never sees another window's padding
    4. average of each two states, then the last layer norm (this order is the published one)
    """

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(config.num_mel_bins, config.width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(config.width, config.width, kernel_size=3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(config.max_states, config.width)
        self.layers = nn.ModuleList(AudioLayer(config) for _ in range(config.num_layers))
        self.layer_norm = nn.LayerNorm(config.width)

    def forward(self, features_WMF: torch.Tensor, num_frames: list[int]) -> torch.Tensor:
        """[W, M, F] and the real frames of each window -> [A, D], the tokens of all windows in order."""
        states_WSD, num_states = self.states(features_WMF, num_frames)
        pooled_WAD = functional.avg_pool1d(states_WSD.transpose(1, 2), kernel_size=2, stride=2).transpose(1, 2)
        num_tokens = [units.tokens_from_states(n) for n in num_states]
        return self.layer_norm(torch.cat([row[:n] for row, n in zip(pooled_WAD, num_tokens, strict=True)]))

    def states(self, features_WMF: torch.Tensor, num_frames: list[int]) -> tuple[torch.Tensor, list[int]]:
        """[W, M, F] -> states [W, S, D] before pooling, and how many of them are real in each window."""
        num_states = [units.states_from_frames(n) for n in num_frames]
        x_WDF = functional.gelu(self.conv1(features_WMF.to(self.conv1.weight.dtype)))
        x_WSD = functional.gelu(self.conv2(x_WDF)).transpose(1, 2)[:, : max(num_states)]
        x_WSD = x_WSD + self.embed_positions.weight[: x_WSD.shape[1]]
        return self.transform(x_WSD, dense_attention(_key_mask(num_states, x_WSD.device))), num_states

    def transform(self, x_WSD: torch.Tensor, attend: Attend) -> torch.Tensor:
        """[W, S, D] -> [W, S, D] through all layers."""
        for layer in self.layers:
            x_WSD = layer(x_WSD, attend)
        return x_WSD


def _key_mask(num_states: list[int], device: torch.device) -> torch.Tensor | None:
    """bool [W, 1, 1, S], true on real states; None where all windows are of one length."""
    if len(set(num_states)) == 1:
        return None
    lengths = torch.tensor(num_states, device=device)
    return (torch.arange(max(num_states), device=device) < lengths[:, None])[:, None, None]
