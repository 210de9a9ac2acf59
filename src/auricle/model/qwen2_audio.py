"""Qwen2-Audio: encode, splice, decode. The corridor's device side, in one forward."""

import torch
from torch import nn

from auricle.model.audio_encoder import AudioEncoder
from auricle.model.cache import Cache, uncached_attention
from auricle.model.config import Qwen2AudioConfig
from auricle.model.decoder import LanguageModel
from auricle.model.inputs import ModelInput
from auricle.model.splice import splice


class Projector(nn.Module):
    """One linear map with bias from the encoder's to the decoder's width; no activation."""

    def __init__(self, audio_width: int, text_width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(audio_width, text_width)

    def forward(self, audio_AD: torch.Tensor) -> torch.Tensor:
        """[A, audio width] -> [A, text width]."""
        return self.linear(audio_AD)


class Qwen2Audio(nn.Module):
    """The whole model. Parameter names are the published checkpoint's."""

    def __init__(self, config: Qwen2AudioConfig) -> None:
        super().__init__()
        self.config = config
        self.audio_tower = AudioEncoder(config.audio)
        self.multi_modal_projector = Projector(config.audio.width, config.text.width)
        self.language_model = LanguageModel(config.text)

    def encode(self, features: torch.Tensor, num_frames: torch.Tensor) -> torch.Tensor:
        """Mel windows [windows, mel_bins, frames] -> audio tokens [tokens, width], all windows in order."""
        return self.multi_modal_projector(self.audio_tower(features, num_frames.tolist()))

    def embed(self, inputs: ModelInput) -> torch.Tensor:
        """A batch -> embeddings [batch, tokens, width] with every recording in its place."""
        embeddings = self.language_model.model.embed_tokens(inputs.ids)
        is_audio = (inputs.ids == self.config.audio_token_id) & inputs.valid
        audio = embeddings[0, :0]  # [0, width], where there is text alone
        if len(inputs.features):
            audio = self.encode(inputs.features, inputs.num_frames)
        return splice(embeddings, is_audio, audio)

    def decode(
        self, embeddings: torch.Tensor, positions: torch.Tensor, valid: torch.Tensor, cache: Cache | None
    ) -> torch.Tensor:
        """Embeddings [batch, tokens, width] -> hidden states of the same shape; the cache, if any, grows by them."""
        attention = uncached_attention(self.config.text, valid) if cache is None else cache.attention(valid)
        return self.language_model.model(embeddings, positions, attention)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden states [..., width] -> next-token scores [..., vocabulary]."""
        return self.language_model.lm_head(hidden)

    def forward(self, inputs: ModelInput, cache: Cache | None = None) -> torch.Tensor:
        """A batch -> logits [batch, tokens, vocabulary]."""
        embeddings = self.embed(inputs)
        return self.logits(self.decode(embeddings, inputs.positions, inputs.valid, cache))
