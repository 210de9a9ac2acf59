"""Prompts and mels one after another, without padding: what training reads."""

from collections.abc import Sequence

import torch

from auricle.model import PackedInput
from auricle.prepare.collate import Prepared


def pack(sequences: Sequence[Prepared]) -> PackedInput:
    """One pack; a mel that several sequences hold (the same object) is encoded once."""
    windows = {id(mel): mel for sequence in sequences for mel in sequence.mels}
    place = {key: number for number, key in enumerate(windows)}
    return PackedInput(
        ids=torch.tensor([token_id for sequence in sequences for token_id in sequence.prompt.ids], dtype=torch.int64),
        lengths=tuple(len(sequence.prompt.ids) for sequence in sequences),
        features=tuple(mel.features for mel in windows.values()),
        num_frames=tuple(mel.num_frames for mel in windows.values()),
        heard=tuple(place[id(mel)] for sequence in sequences for mel in sequence.mels),
    )
