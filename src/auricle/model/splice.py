"""Audio tokens take the places of the placeholder in the text's embeddings; the counts must agree."""

import torch


def splice(embeddings_BTD: torch.Tensor, is_audio_BT: torch.Tensor, audio_AD: torch.Tensor) -> torch.Tensor:
    """Embeddings [B, T, D] with row i of `audio` [A, D] in the i-th place where `is_audio` [B, T] is true.

    Raises:
        ValueError: there are more or fewer places than audio tokens: every later answer would be about other sound.
    """
    num_places = int(is_audio_BT.sum())
    if num_places != len(audio_AD):
        raise ValueError(f"{num_places} audio places in the prompts but {len(audio_AD)} audio tokens from the encoder")
    return embeddings_BTD.masked_scatter(is_audio_BT[..., None], audio_AD.to(embeddings_BTD.dtype))
