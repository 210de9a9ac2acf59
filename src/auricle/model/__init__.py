"""Qwen2-Audio as pure tensors: no files, no strings, no tokenizer.

Read in this order: config, inputs, layers, audio_encoder, splice, cache, decoder, qwen2_audio,
packed_attention, packed, outline.
"""

from auricle.model.cache import KVCache
from auricle.model.config import AudioEncoderConfig, DecoderConfig, Qwen2AudioConfig
from auricle.model.inputs import ModelInput, PackedInput
from auricle.model.outline import outline
from auricle.model.packed import packed_hidden
from auricle.model.qwen2_audio import Qwen2Audio

__all__ = [
    "AudioEncoderConfig",
    "DecoderConfig",
    "KVCache",
    "ModelInput",
    "PackedInput",
    "Qwen2Audio",
    "Qwen2AudioConfig",
    "outline",
    "packed_hidden",
]
