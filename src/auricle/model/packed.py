"""The forward over a pack: every sequence and every window at its true length, none seeing another.

Axes: T tokens of all sequences, M mel bins, F frames of all windows, S encoder states of all windows, A audio tokens,
D width; N, K, H as in layers.
"""

from collections.abc import Sequence

import torch
from torch.nn import functional

from auricle import units
from auricle.model.audio_encoder import AudioEncoder
from auricle.model.inputs import PackedInput
from auricle.model.packed_attention import packed_attention
from auricle.model.qwen2_audio import Qwen2Audio
from auricle.model.splice import splice


def packed_hidden(model: Qwen2Audio, pack: PackedInput) -> torch.Tensor:
    """A pack -> the decoder's last hidden states [T, D], sequence after sequence."""
    embeddings_TD, config = packed_embeddings(model, pack), model.config.text
    by_window = {
        window: packed_attention(pack.lengths, causal=True, window=window, device=pack.ids.device)
        for window in dict.fromkeys(config.windows)
    }
    attention = [by_window[window] for window in config.windows]
    return model.language_model.model(embeddings_TD[None], pack.positions[None], attention)[0]


def packed_embeddings(model: Qwen2Audio, pack: PackedInput) -> torch.Tensor:
    """A pack -> embeddings [T, D] with every window's audio tokens in their places.

    A window that no sequence hears is encoded all the same: its encoder and projector get gradients of zero.
    """
    embeddings_TD = model.language_model.model.embed_tokens(pack.ids)
    if not pack.features:
        return embeddings_TD
    tokens_AD = packed_encode(model, pack.features, pack.num_frames)
    ends = torch.tensor([units.tokens_from_frames(num) for num in pack.num_frames]).cumsum(0).tolist()
    starts = [0, *ends]
    heard = [torch.arange(starts[i], ends[i]) for i in pack.heard]
    heard_A = torch.cat([torch.arange(0), *heard]).to(tokens_AD.device)
    is_audio_T = pack.ids == model.config.audio_token_id
    return splice(embeddings_TD[None], is_audio_T[None], tokens_AD.index_select(0, heard_A))[0]


def packed_encode(model: Qwen2Audio, features: Sequence[torch.Tensor], num_frames: Sequence[int]) -> torch.Tensor:
    """Windows [M, kept frames] and their real frames -> the projected audio tokens [A, D] of all, in order."""
    tower, num_states = model.audio_tower, [units.states_from_frames(num) for num in num_frames]
    x_SD = _convolve(tower, features, num_states)
    attend = packed_attention(num_states, causal=False, window=None, device=x_SD.device)
    x_SD = tower.transform(x_SD[None], attend)[0]
    even_SD = torch.cat([row[: n // 2 * 2] for row, n in zip(x_SD.split(num_states), num_states, strict=True)])
    return model.multi_modal_projector(tower.layer_norm(even_SD.unflatten(0, (-1, 2)).mean(dim=1)))


def _convolve(tower: AudioEncoder, features: Sequence[torch.Tensor], num_states: list[int]) -> torch.Tensor:
    """Windows -> states [S, D] before the layers, of all windows in order.

    A window of n states needs mel frames 0 to 2 n; one empty frame more separates it from the next and lets that one
    start on an even frame, where the second convolution looks. What the first convolution puts there is cleared, as
    each window alone has zeros before its start. Frame 2 n makes one state too many, which is dropped.
    """
    lengths = [2 * n + 2 for n in num_states]
    kept = [window[:, : length - 1] for window, length in zip(features, lengths, strict=True)]
    slots = [
        functional.pad(window, (0, length - window.shape[1])) for window, length in zip(kept, lengths, strict=True)
    ]
    separator_F = torch.zeros(sum(lengths), dtype=torch.bool)
    separator_F[torch.tensor(lengths).cumsum(0) - 1] = True
    mel_MF = torch.cat(slots, dim=1).to(tower.conv1.weight.dtype)
    x_DF = functional.gelu(tower.conv1(mel_MF[None])).masked_fill(separator_F.to(mel_MF.device), 0)
    x_SD = functional.gelu(tower.conv2(x_DF))[0].T
    table_SD = tower.embed_positions.weight
    return torch.cat([row[:-1] + table_SD[: len(row) - 1] for row in x_SD.split([n + 1 for n in num_states])])
