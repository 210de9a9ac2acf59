"""The forward over a pack: every sequence and every window at its true length, none seeing another.

Axes: T tokens of all sequences, S encoder states of all windows, A audio tokens, D width.
"""

import torch

from auricle.model.inputs import PackedInput
from auricle.model.qwen2_audio import Qwen2Audio
from auricle.model.splice import splice


def packed_hidden(model: Qwen2Audio, pack: PackedInput) -> torch.Tensor:
    """A pack -> the decoder's last hidden states [T, D], sequence after sequence."""
    embeddings_TD = packed_embeddings(model, pack)
    rows: list[torch.Tensor] = []
    for part_TD in embeddings_TD.split(list(pack.lengths)):
        valid = torch.ones(1, len(part_TD), dtype=torch.bool, device=part_TD.device)
        positions = torch.arange(len(part_TD), device=part_TD.device)[None]
        rows.append(model.decode(part_TD[None], positions, valid, None)[0])
    return torch.cat(rows)


def packed_embeddings(model: Qwen2Audio, pack: PackedInput) -> torch.Tensor:
    """A pack -> embeddings [T, D] with every window's audio tokens in their places."""
    embeddings_TD = model.language_model.model.embed_tokens(pack.ids)
    is_audio_T = pack.ids == model.config.audio_token_id
    windows = packed_encode(model, pack)
    audio_AD = torch.cat([windows[i] for i in pack.heard]) if pack.heard else embeddings_TD[:0]
    return splice(embeddings_TD[None], is_audio_T[None], audio_AD)[0]


def packed_encode(model: Qwen2Audio, pack: PackedInput) -> list[torch.Tensor]:
    """The audio tokens [A, D] of each window, projected."""
    device = pack.ids.device
    return [
        model.encode(features[None], torch.tensor([num], device=device))
        for features, num in zip(pack.features, pack.num_frames, strict=True)
    ]
