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
    """A Qwen2 decoder: RMSNorm, rotary positions, grouped-query attention with bias on q, k, v, SwiGLU.

    sliding_window: in the layers of `sliding_layers` a token sees itself and the `sliding_window` - 1 tokens before
    it; all other layers see everything (and so does every layer of the released model).
    """

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
    sliding_window: int | None = None
    sliding_layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.sliding_layers) != (self.sliding_window is not None):
            raise ValueError(f"window {self.sliding_window} in layers {self.sliding_layers}: expected both or neither")

    @property
    def windows(self) -> tuple[int | None, ...]:
        """For each layer how many tokens are seen; None means all."""
        return tuple(self.sliding_window if i in self.sliding_layers else None for i in range(self.num_layers))


@dataclass(frozen=True, slots=True)
class Qwen2AudioConfig:
    """The encoder, the decoder, and the id whose places in the prompt the audio tokens take."""

    audio: AudioEncoderConfig
    text: DecoderConfig
    audio_token_id: int
