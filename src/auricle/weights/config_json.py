"""config.json to our configuration and back, with every default of the sparse published file written out."""

from typing import Any

from auricle.errors import UserError
from auricle.model import AudioEncoderConfig, DecoderConfig, Qwen2AudioConfig

# The released text_config is sparse; these are transformers' Qwen2Config defaults, which the released weights obey
# (32 layers, 32 heads and 32 key-value heads of width 128: the parameter count proves it).
QWEN2_DEFAULTS: dict[str, Any] = {
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "intermediate_size": 22016,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 32768,
    "vocab_size": 151936,
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "sliding_window": 4096,
    "max_window_layers": 28,
    "layer_types": None,
}
_FULL, _SLIDING = "full_attention", "sliding_attention"  # the words of layer_types
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
        kind = contents.get("model_type")
        raise UserError(f"config.json is of model_type {kind!r}, expected 'qwen2_audio'; give a Qwen2-Audio checkpoint")
    return Qwen2AudioConfig(
        audio=encoder_config(_AUDIO_DEFAULTS | contents.get("audio_config", {}), "audio_config"),
        text=decoder_config(QWEN2_DEFAULTS | contents.get("text_config", {}), "text_config"),
        audio_token_id=contents.get("audio_token_id", contents.get("audio_token_index", 151646)),
    )


def encoder_config(audio: dict[str, Any], section: str) -> AudioEncoderConfig:
    """The settings of a Whisper encoder, in Whisper's words.

    Args:
        audio: with every default filled in.
        section: where they stand, for the messages.

    Raises:
        UserError: a setting that the released encoder has not.
    """
    _refuse(section, audio, {"scale_embedding": False, "activation_function": "gelu"})
    return AudioEncoderConfig(
        num_mel_bins=audio["num_mel_bins"],
        width=audio["d_model"],
        num_layers=audio["encoder_layers"],
        num_heads=audio["encoder_attention_heads"],
        mlp_width=audio["encoder_ffn_dim"],
        max_states=audio["max_source_positions"],
    )


def decoder_config(text: dict[str, Any], section: str) -> DecoderConfig:
    """The settings of a Qwen2 decoder, in transformers' words.

    Args:
        text: with every default filled in.
        section: where they stand, for the messages.

    Raises:
        UserError: a setting that the released decoder has not.
    """
    _refuse(section, text, {"hidden_act": "silu"})
    window, sliding_layers = _sliding(text)
    return DecoderConfig(
        vocab_size=text["vocab_size"],
        width=text["hidden_size"],
        num_layers=text["num_hidden_layers"],
        num_heads=text["num_attention_heads"],
        num_kv_heads=text["num_key_value_heads"] or text["num_attention_heads"],
        head_width=text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"],
        mlp_width=text["intermediate_size"],
        norm_eps=text["rms_norm_eps"],
        rope_theta=_rope_theta(text, section),
        max_tokens=text["max_position_embeddings"],
        tied_head=text["tie_word_embeddings"],
        sliding_window=window,
        sliding_layers=sliding_layers,
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
            **_sliding_to_json(text),
            "attention_dropout": 0.0,
        },
    }


def _rope_theta(text: dict[str, Any], section: str) -> float:
    """Old files say rope_theta; transformers 5 nests it in rope_parameters."""
    nested = text.get("rope_parameters") or {}
    if nested.get("rope_type", "default") != "default" or text.get("rope_scaling"):
        raise UserError(f"{section} scales its rotary positions, expected the plain ones of the released model")
    return float(nested.get("rope_theta", text.get("rope_theta", 10000.0)))


def _sliding(text: dict[str, Any]) -> tuple[int | None, tuple[int, ...]]:
    """The window and the layers that have it, decided as transformers' Qwen2Config does.

    Nothing counts without `use_sliding_window`; `layer_types` names the layers, else those from `max_window_layers`
    on. The released file states a window of 32768 and does not use it.
    """
    window = text["sliding_window"] if text["use_sliding_window"] else None
    first = text["num_hidden_layers"] if window is None else text["max_window_layers"]
    kinds = text["layer_types"] or [_FULL if i < first else _SLIDING for i in range(text["num_hidden_layers"])]
    if len(kinds) != text["num_hidden_layers"] or not {_FULL, _SLIDING}.issuperset(kinds):
        raise UserError(
            f"text_config.layer_types is {kinds}, expected {_FULL!r} or {_SLIDING!r} "
            f"for each of {text['num_hidden_layers']} layers"
        )
    layers = tuple(i for i, kind in enumerate(kinds) if kind == _SLIDING)
    if layers and (not isinstance(window, int) or window < 1):
        raise UserError(
            f"text_config.layer_types has sliding layers, but use_sliding_window is {text['use_sliding_window']} and "
            f"sliding_window {text['sliding_window']}, expected True and at least 1"
        )
    return (window, layers) if layers else (None, ())


def _sliding_to_json(text: DecoderConfig) -> dict[str, Any]:
    if not text.sliding_layers:
        return {"use_sliding_window": False}
    return {
        "use_sliding_window": True,
        "sliding_window": text.sliding_window,
        "max_window_layers": text.sliding_layers[0],  # for readers that do not know layer_types
        "layer_types": [_FULL if window is None else _SLIDING for window in text.windows],
    }


def _refuse(name: str, values: dict[str, Any], expected: dict[str, Any]) -> None:
    for key, value in expected.items():
        if values.get(key, value) != value:
            raise UserError(f"{name}.{key} is {values[key]!r}, expected {value!r} as in the released model")
