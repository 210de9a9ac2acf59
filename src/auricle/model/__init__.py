"""Qwen2-Audio as pure tensors: no files, no strings, no tokenizer.

Read in this order: config, inputs, layers, audio_encoder, splice, cache, decoder, qwen2_audio,
running_cache, packed_attention, packed, outline.
"""

from auricle.model.cache import Cache, KVCache
from auricle.model.config import AudioEncoderConfig, DecoderConfig, Qwen2AudioConfig
from auricle.model.inputs import ModelInput, PackedInput
from auricle.model.outline import outline
from auricle.model.packed import packed_hidden
from auricle.model.parted_cache import PartedCache
from auricle.model.qwen2_audio import Qwen2Audio
from auricle.model.running_cache import RunningCache
from auricle.model.splice import splice

__all__ = [
    "AudioEncoderConfig",
    "Cache",
    "DecoderConfig",
    "KVCache",
    "ModelInput",
    "PackedInput",
    "PartedCache",
    "Qwen2Audio",
    "Qwen2AudioConfig",
    "RunningCache",
    "outline",
    "packed_hidden",
    "splice",
]
