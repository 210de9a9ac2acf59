"""config.json to our configuration and back, with every default of the sparse published file written out."""

from typing import Any

from auricle.errors import UserError
from auricle.model import AudioEncoderConfig, DecoderConfig, Qwen2AudioConfig

# The released text_config is sparse; these are transformers' Qwen2Config defaults, which the released weights obey
# (32 layers, 32 heads and 32 key-value heads of width 128: the parameter count proves it).
_TEXT_DEFAULTS: dict[str, Any] = {
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "intermediate_size": 22016,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 32768,
    "vocab_size": 151936,
    "tie_word_embeddings": False,
}
# transformers' Qwen2AudioEncoderConfig defaults (Whisper-large-v3).
_AUDIO_DEFAULTS: dict[str, Any] = {
    "num_mel_bins": 128,
    "d_model": 1280,
    "encoder_layers": 32,
    "encoder_attention_heads": 20,
    "encoder_ffn_dim": 5120,
    "max_source_positions": 1500,
}


def config_from_json(contents: dict[str, Any]) -> Qwen2AudioConfig:
    """The published config.json -> our configuration.

    Raises:
        UserError: another model's configuration, or one that uses what the released model does not.
    """
    if contents.get("model_type") != "qwen2_audio":
        raise UserError(f"config.json is of model_type {contents.get('model_type')!r}, expected 'qwen2_audio'")
    text, audio = _TEXT_DEFAULTS | contents.get("text_config", {}), _AUDIO_DEFAULTS | contents.get("audio_config", {})
    _refuse("text_config", text, {"use_sliding_window": False, "hidden_act": "silu"})
    _refuse("audio_config", audio, {"scale_embedding": False, "activation_function": "gelu"})
    return Qwen2AudioConfig(
        audio=AudioEncoderConfig(
            num_mel_bins=audio["num_mel_bins"],
            width=audio["d_model"],
            num_layers=audio["encoder_layers"],
            num_heads=audio["encoder_attention_heads"],
            mlp_width=audio["encoder_ffn_dim"],
            max_states=audio["max_source_positions"],
        ),
        text=DecoderConfig(
            vocab_size=text["vocab_size"],
            width=text["hidden_size"],
            num_layers=text["num_hidden_layers"],
            num_heads=text["num_attention_heads"],
            num_kv_heads=text["num_key_value_heads"],
            head_width=text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"],
            mlp_width=text["intermediate_size"],
            norm_eps=text["rms_norm_eps"],
            rope_theta=_rope_theta(text),
            max_tokens=text["max_position_embeddings"],
            tied_head=text["tie_word_embeddings"],
        ),
        audio_token_id=contents.get("audio_token_id", contents.get("audio_token_index", 151646)),
    )


def config_to_json(config: Qwen2AudioConfig) -> dict[str, Any]:
    """Our configuration -> the published config.json, nothing left to a library's default."""
    audio, text = config.audio, config.text
    return {
        "architectures": ["Qwen2AudioForConditionalGeneration"],
        "model_type": "qwen2_audio",
        "audio_token_index": config.audio_token_id,
        "tie_word_embeddings": text.tied_head,
        "audio_config": {
            "model_type": "qwen2_audio_encoder",
            "num_mel_bins": audio.num_mel_bins,
            "d_model": audio.width,
            "encoder_layers": audio.num_layers,
            "encoder_attention_heads": audio.num_heads,
            "encoder_ffn_dim": audio.mlp_width,
            "max_source_positions": audio.max_states,
            "activation_function": "gelu",
            "scale_embedding": False,
            "dropout": 0.0,
            "attention_dropout": 0.0,
            "activation_dropout": 0.0,
            "encoder_layerdrop": 0.0,
        },
        "text_config": {
            "model_type": "qwen2",
            "vocab_size": text.vocab_size,
            "hidden_size": text.width,
            "num_hidden_layers": text.num_layers,
            "num_attention_heads": text.num_heads,
            "num_key_value_heads": text.num_kv_heads,
            "head_dim": text.head_width,
            "intermediate_size": text.mlp_width,
            "rms_norm_eps": text.norm_eps,
            "rope_theta": text.rope_theta,
            "rope_parameters": {"rope_type": "default", "rope_theta": text.rope_theta},
            "max_position_embeddings": text.max_tokens,
            "tie_word_embeddings": text.tied_head,
            "hidden_act": "silu",
            "use_sliding_window": False,
            "attention_dropout": 0.0,
        },
    }


def _rope_theta(text: dict[str, Any]) -> float:
    """Old files say rope_theta; transformers 5 nests it in rope_parameters."""
    nested = text.get("rope_parameters") or {}
    if nested.get("rope_type", "default") != "default" or text.get("rope_scaling"):
        raise UserError("text_config scales its rotary positions, expected the plain ones of the released model")
    return float(nested.get("rope_theta", text.get("rope_theta", 10000.0)))


def _refuse(name: str, values: dict[str, Any], expected: dict[str, Any]) -> None:
    for key, value in expected.items():
        if values.get(key, value) != value:
            raise UserError(f"{name}.{key} is {values[key]!r}, expected {value!r} as in the released model")
