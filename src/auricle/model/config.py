"""The numbers that make one Qwen2-Audio: each part takes its own, never its parent's."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AudioEncoderConfig:
    """A Whisper encoder: two convolutions, a position table, pre-norm transformer layers."""

    num_mel_bins: int
    width: int
    num_layers: int
    num_heads: int
    mlp_width: int
    max_states: int = 1500


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """A Qwen2 decoder: RMSNorm, rotary positions, grouped-query attention with bias on q, k, v, SwiGLU."""

    vocab_size: int
    width: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_width: int
    mlp_width: int
    norm_eps: float
    rope_theta: float
    max_tokens: int
    tied_head: bool


@dataclass(frozen=True, slots=True)
class Qwen2AudioConfig:
    """The encoder, the decoder, and the id whose places in the prompt the audio tokens take."""

    audio: AudioEncoderConfig
    text: DecoderConfig
    audio_token_id: int
