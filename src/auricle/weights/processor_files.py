"""What other programs read beside the weights: how text and sound become a prompt, and how an answer ends."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

from auricle import units
from auricle.model import AudioEncoderConfig
from auricle.text import Tokenizer
from auricle.weights.generation_json import FILE_NAME as GENERATION
from auricle.weights.generation_json import read_generation

TEMPLATE = "chat_template.jinja"
_END, _PAD = "<|im_end|>", "<|endoftext|>"


def complete(directory: Path, audio: AudioEncoderConfig, *, max_tokens: int) -> None:
    """Write what the directory lacks of the published files; the chat template is always ours, in the newest form.

    Args:
        directory: has tokenizer.json already.
        audio: the encoder's shape.
        max_tokens: the longest prompt the decoder was trained on.
    """
    tokenizer_json = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))
    tokens = {token["id"]: token["content"] for token in tokenizer_json["added_tokens"] if token["special"]}
    end_id = Tokenizer.from_file(directory / "tokenizer.json").special(_END)
    _write_where_missing(directory / GENERATION, {"eos_token_id": [end_id], "pad_token_id": end_id})
    pad_id = read_generation(directory).pad_id
    pad = tokens.get(end_id if pad_id is None else pad_id, _END)
    _write_where_missing(directory / "preprocessor_config.json", _preprocessor(audio))
    _write_where_missing(directory / "tokenizer_config.json", _tokenizer_config(list(tokens.values()), pad, max_tokens))
    template = resources.files("auricle") / "assets" / TEMPLATE
    (directory / TEMPLATE).write_text(template.read_text(encoding="utf-8").rstrip("\n"), encoding="utf-8")
    _drop_other_template(directory / "tokenizer_config.json")


def _preprocessor(audio: AudioEncoderConfig) -> dict[str, Any]:
    """The feature extractor's settings: the published ones but for the encoder's mel bins and positions."""
    num_frames = 2 * audio.max_states
    return {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "processor_class": "Qwen2AudioProcessor",
        "feature_size": audio.num_mel_bins,
        "sampling_rate": units.SAMPLE_RATE,
        "chunk_length": num_frames // units.FRAMES_PER_S,
        "n_samples": num_frames * units.HOP_SAMPLES,
        "n_fft": units.FFT_SAMPLES,
        "hop_length": units.HOP_SAMPLES,
        "nb_max_frames": num_frames,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": True,
    }


def _tokenizer_config(special: list[str], pad: str, max_tokens: int) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": _END,
        "pad_token": pad,
        "unk_token": None,
        "additional_special_tokens": [token for token in special if token not in (_END, pad)],
        "model_max_length": max_tokens,
        "clean_up_tokenization_spaces": False,
    }


def _drop_other_template(path: Path) -> None:
    """A tokenizer's own text-only template must not be preferred to the file's."""
    contents = json.loads(path.read_text(encoding="utf-8"))
    if contents.pop("chat_template", None) is not None:
        path.write_text(json.dumps(contents, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_where_missing(path: Path, contents: dict[str, Any]) -> None:
    if not path.exists():
        path.write_text(json.dumps(contents, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
