"""The two models that a fresh Qwen2-Audio is assembled from: a Whisper directory and a Qwen2 or Llama directory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from auricle.errors import UserError
from auricle.model import AudioEncoderConfig, DecoderConfig
from auricle.model.audio_encoder import AudioEncoder
from auricle.model.decoder import LanguageModel
from auricle.weights.config_json import QWEN2_DEFAULTS, decoder_config, encoder_config
from auricle.weights.generation_json import read_generation
from auricle.weights.json_file import read_json
from auricle.weights.stored import HEAD, StoredState
from auricle.weights.tensors import read_tensors

# transformers' WhisperConfig and LlamaConfig defaults.
_WHISPER_DEFAULTS: dict[str, Any] = {
    "num_mel_bins": 80,
    "d_model": 384,
    "encoder_layers": 4,
    "encoder_attention_heads": 6,
    "encoder_ffn_dim": 1536,
    "max_source_positions": 1500,
}
_LLAMA_DEFAULTS: dict[str, Any] = {
    "intermediate_size": 11008,
    "num_key_value_heads": None,
    "max_position_embeddings": 2048,
    "vocab_size": 32000,
}
_ENCODER, _DECODER = "audio_tower.", "language_model."


@dataclass(frozen=True, slots=True)
class WhisperEncoder:
    """A Whisper's encoder; the tensors are memory-mapped and named as in a Qwen2-Audio checkpoint."""

    config: AudioEncoderConfig
    tensors: dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class TextDecoder:
    """A text model as a Qwen2 decoder.

    tensors: memory-mapped, named as in a Qwen2-Audio checkpoint; a tied head is not among them.
    stop_ids, pad_id: what its files say ends an answer and fills a batch.
    """

    config: DecoderConfig
    tensors: dict[str, torch.Tensor]
    stop_ids: frozenset[int]
    pad_id: int | None


def read_whisper(directory: Path) -> WhisperEncoder:
    """The encoder of a Hugging Face Whisper directory; its decoder is not read.

    Raises:
        UserError: no Whisper, or one whose tensors do not fit its config.json.
    """
    contents = _read_config(directory, {"whisper": _WHISPER_DEFAULTS}, "encoder")
    config = encoder_config(contents, f"{directory}: config.json")
    tensors = {}
    for name, tensor in read_tensors(directory).items():
        name = name.removeprefix("model.")  # of a Whisper with a head
        if name.startswith("encoder."):
            tensors[_ENCODER + name.removeprefix("encoder.")] = tensor
    with torch.device("meta"):
        _check(directory, tensors, AudioEncoder(config), _ENCODER)
    return WhisperEncoder(config, tensors)


def read_text_decoder(directory: Path) -> TextDecoder:
    """A Hugging Face Qwen2 or Llama directory; a Llama gets zero biases on q, k and v, which makes it a Qwen2.

    Raises:
        UserError: another model, or one that a Qwen2 decoder cannot hold, or tensors that do not fit its config.json.
    """
    contents = _read_config(directory, {"qwen2": {}, "llama": _LLAMA_DEFAULTS}, "decoder")
    _refuse_what_qwen2_has_not(contents, directory)
    config = decoder_config(contents, f"{directory}: config.json")
    tensors = {
        _decoder_name(name): tensor for name, tensor in read_tensors(directory).items() if "rotary_emb" not in name
    }
    if contents["model_type"] == "llama":
        tensors |= _zero_biases(tensors)
    with torch.device("meta"):
        model = LanguageModel(config)
    if config.tied_head:
        tensors.pop(HEAD, None)
    _check(directory, tensors, model, _DECODER, without=HEAD if config.tied_head else None)
    said = read_generation(directory)
    stop = said.stop_ids or frozenset(_ids(contents.get("eos_token_id")))
    pad = next(iter(_ids(contents.get("pad_token_id") if said.pad_id is None else said.pad_id)), None)
    return TextDecoder(config, tensors, stop, pad)


def _read_config(directory: Path, defaults: dict[str, dict[str, Any]], part: str) -> dict[str, Any]:
    """config.json of one of the given model types, with that type's defaults filled in."""
    contents = read_json(directory / "config.json")
    kind = contents.get("model_type")
    if kind not in defaults:
        raise UserError(
            f"{directory} is of model_type {kind!r}, expected {' or '.join(map(repr, defaults))} for the {part}"
        )
    if contents.get("quantization_config"):
        raise UserError(f"{directory} is quantised, expected plain weights; take the model it was quantised from")
    base = QWEN2_DEFAULTS if part == "decoder" else {}
    return base | defaults[kind] | contents


def _refuse_what_qwen2_has_not(contents: dict[str, Any], directory: Path) -> None:
    llama = contents["model_type"] == "llama"
    for key, plain in (("attention_bias", False), ("mlp_bias", False), ("partial_rotary_factor", 1.0)):
        if llama and contents.get(key, plain) != plain:
            raise UserError(
                f"{directory}: config.json has {key} {contents[key]!r}, expected {plain!r}: "
                "a Qwen2 decoder has no place for it; take another decoder"
            )


def _decoder_name(name: str) -> str:
    """Names of a model with a head, or of one saved without it."""
    bare = name.startswith(("embed_tokens.", "layers.", "norm."))
    return f"{_DECODER}model.{name}" if bare else f"{_DECODER}{name}"


def _zero_biases(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    ends = tuple(f".self_attn.{part}_proj.weight" for part in "qkv")
    return {
        name.removesuffix("weight") + "bias": tensor.new_zeros(len(tensor))
        for name, tensor in tensors.items()
        if name.endswith(ends)
    }


def _check(
    directory: Path,
    tensors: dict[str, torch.Tensor],
    model: torch.nn.Module,
    prefix: str,
    *,
    without: str | None = None,
) -> None:
    expected = {prefix + name: tensor for name, tensor in model.state_dict().items() if prefix + name != without}
    StoredState(directory, tensors, {}, {}).check(expected)


def _ids(value: Any) -> list[int]:
    """Ids of a config.json, which says one, several, or none (null, or -1 in old files)."""
    values = value if isinstance(value, list) else [value]
    return [token_id for token_id in values if isinstance(token_id, int) and token_id >= 0]
