"""Checkpoints in both spellings, in one file or several, in and out; and the published 7B's names and numbers."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import Qwen2AudioConfig, Qwen2AudioForConditionalGeneration

from auricle.model import AudioEncoderConfig, DecoderConfig, Qwen2Audio
from auricle.weights import read_model, write_model
from auricle.weights.config_json import config_from_json, config_to_json
from auricle.weights.names import from_nested, to_nested

from .reference import SHAPES, Shape, make_batch, random_reference, read_ours

pytestmark = pytest.mark.parity

# The released config.json: its text_config is sparse, the rest are library defaults of the time.
RELEASED: dict[str, Any] = {
    "architectures": ["Qwen2AudioForConditionalGeneration"],
    "audio_config": {
        "activation_dropout": 0.0,
        "activation_function": "gelu",
        "attention_dropout": 0.0,
        "d_model": 1280,
        "dropout": 0.0,
        "encoder_attention_heads": 20,
        "encoder_ffn_dim": 5120,
        "encoder_layerdrop": 0.0,
        "encoder_layers": 32,
        "init_std": 0.02,
        "max_source_positions": 1500,
        "model_type": "qwen2_audio_encoder",
        "num_mel_bins": 128,
        "scale_embedding": False,
    },
    "audio_token_index": 151646,
    "ignore_index": -100,
    "model_type": "qwen2_audio",
    "text_config": {
        "bos_token_id": 151643,
        "eos_token_id": 151645,
        "intermediate_size": 11008,
        "max_position_embeddings": 8192,
        "model_type": "qwen2",
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000,
        "sliding_window": 32768,
        "torch_dtype": "bfloat16",
        "use_mrope": False,
        "vocab_size": 156032,
    },
    "torch_dtype": "bfloat16",
    "vocab_size": 156032,
}


def released_spelling(nested: str) -> str:
    """transformers' module name -> the released file's key, written down once more and independently of `weights`."""
    if nested == "lm_head.weight":
        return "language_model.lm_head.weight"
    return re.sub(r"^language_model\.", "language_model.model.", nested.removeprefix("model."))


def write_reference(
    reference: Qwen2AudioForConditionalGeneration, directory: Path, *, released: bool, num_files: int
) -> None:
    """The reference's weights under one spelling of the keys, in one file or several with an index."""
    reference.config.save_pretrained(directory)
    state = {released_spelling(name) if released else name: t for name, t in reference.state_dict().items()}
    if num_files == 1:
        save_file(state, directory / "model.safetensors")
        return
    weight_map = {}
    for number in range(num_files):
        part = dict(list(state.items())[number::num_files])
        file_name = f"model-{number + 1:05d}-of-{num_files:05d}.safetensors"
        save_file(part, directory / file_name)
        weight_map |= dict.fromkeys(part, file_name)
    index = {"metadata": {}, "weight_map": weight_map}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))


def assert_same_weights(model: Qwen2Audio, reference: Qwen2AudioForConditionalGeneration) -> None:
    ours, theirs = model.state_dict(), reference.state_dict()
    assert ours.keys() == {released_spelling(name) for name in theirs}
    for name, tensor in theirs.items():
        assert torch.equal(ours[released_spelling(name)], tensor), name


@pytest.mark.parametrize("num_files", [1, 3])
@pytest.mark.parametrize("released", [True, False], ids=["released", "nested"])
@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_every_spelling_is_read(tmp_path: Path, released: bool, num_files: int, tied: bool) -> None:
    reference = random_reference(Shape(tied=tied))
    write_reference(reference, tmp_path, released=released, num_files=num_files)
    assert_same_weights(read_ours(tmp_path), reference)


@pytest.mark.parametrize("max_shard_size", ["1GB", "40KB"])
def test_what_transformers_writes_is_read(tmp_path: Path, max_shard_size: str) -> None:
    reference = random_reference(Shape())
    reference.save_pretrained(tmp_path, max_shard_size=max_shard_size)
    assert (tmp_path / "model.safetensors").exists() is (max_shard_size == "1GB")
    assert_same_weights(read_ours(tmp_path), reference)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_we_write_transformers_reads(tmp_path: Path, shape: Shape) -> None:
    reference = random_reference(shape)
    reference.save_pretrained(tmp_path / "theirs")
    write_model(read_ours(tmp_path / "theirs"), tmp_path / "ours")
    back, report = Qwen2AudioForConditionalGeneration.from_pretrained(tmp_path / "ours", output_loading_info=True)
    # transformers cannot tie this model's head by itself: it looks for a head in the file and else draws one
    assert report["missing_keys"] == ({"lm_head.weight"} if shape.tied else set())
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    if shape.tied:
        back.lm_head.weight = back.model.language_model.embed_tokens.weight
    batch = make_batch([(9,), (3, 0.4, 2, 0.1, 1)])
    with torch.inference_mode():
        assert torch.equal(back(**batch.theirs).logits, reference(**batch.theirs).logits)


def test_what_we_write_we_read(tmp_path: Path) -> None:
    reference = random_reference(Shape(tied=True))
    reference.save_pretrained(tmp_path / "theirs")
    write_model(read_ours(tmp_path / "theirs"), tmp_path / "ours")
    again = read_model(tmp_path / "ours", dtype=torch.float32, device=torch.device("cpu"))
    assert_same_weights(again, reference)
    assert again.language_model.lm_head.weight is again.language_model.model.embed_tokens.weight


@pytest.fixture(scope="module")
def published() -> Qwen2Audio:
    with torch.device("meta"):
        return Qwen2Audio(config_from_json(RELEASED))


def test_published_config_is_read_in_full(published: Qwen2Audio) -> None:
    assert published.config.audio == AudioEncoderConfig(
        num_mel_bins=128, width=1280, num_layers=32, num_heads=20, mlp_width=5120, max_states=1500
    )
    assert published.config.text == DecoderConfig(
        vocab_size=156032,
        width=4096,
        num_layers=32,
        num_heads=32,
        num_kv_heads=32,
        head_width=128,
        mlp_width=11008,
        norm_eps=1e-5,
        rope_theta=10000.0,
        max_tokens=8192,
        tied_head=False,
    )
    assert published.config.audio_token_id == 151646
    assert config_from_json(config_to_json(published.config)) == published.config


def test_published_parameter_counts(published: Qwen2Audio) -> None:
    def count(module: torch.nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    assert count(published) == 8_397_094_912
    assert count(published.audio_tower) == 636_968_960
    assert count(published.multi_modal_projector) == 5_246_976
    assert count(published.language_model) == 7_754_878_976


def test_published_names_and_shapes_are_the_references(published: Qwen2Audio) -> None:
    with torch.device("meta"):
        reference = Qwen2AudioForConditionalGeneration(Qwen2AudioConfig.from_dict(RELEASED))
    theirs = {name: tensor.shape for name, tensor in reference.state_dict().items()}
    ours = {name: tensor.shape for name, tensor in published.state_dict().items()}
    assert {to_nested(name): shape for name, shape in ours.items()} == theirs
    assert {from_nested(name): shape for name, shape in theirs.items()} == ours
    assert all(from_nested(to_nested(name)) == name == from_nested(name) for name in ours)
    assert {released_spelling(name) for name in theirs} == ours.keys()
