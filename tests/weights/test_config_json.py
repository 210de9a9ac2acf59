"""config.json both ways, and models it refuses to be."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from auricle.errors import UserError
from auricle.model import Qwen2Audio, Qwen2AudioConfig
from auricle.weights.config_json import config_from_json, config_to_json

Config = Callable[..., Qwen2AudioConfig]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tied_head": True, "num_kv_heads": 1},
        {"rope_theta": 1e6, "norm_eps": 1e-5},
        {"sliding_window": 12, "sliding_layers": (0, 1)},
        {"sliding_window": 1, "sliding_layers": (0,)},
    ],
)
def test_round_trip(changes: dict[str, Any], tiny_config: Config):
    config = tiny_config(**changes)
    assert config_from_json(json.loads(json.dumps(config_to_json(config)))) == config


def test_the_sparse_published_file_is_the_published_7b():
    """Values and the count of 8,397,094,912 parameters: the released model's."""
    published = {
        "model_type": "qwen2_audio",
        "audio_token_index": 151646,
        "text_config": {
            "intermediate_size": 11008,
            "max_position_embeddings": 8192,
            "model_type": "qwen2",
            "rms_norm_eps": 1e-5,
            "sliding_window": 32768,
            "use_mrope": False,
            "vocab_size": 156032,
        },
        "audio_config": {"model_type": "qwen2_audio_encoder", "d_model": 1280, "encoder_layers": 32},
    }
    config = config_from_json(published)
    assert (config.text.num_layers, config.text.num_heads, config.text.num_kv_heads) == (32, 32, 32)
    assert config.text.head_width == 128
    assert not config.text.tied_head
    assert config.audio.num_mel_bins == 128
    with torch.device("meta"):
        model = Qwen2Audio(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == 8_397_094_912


@pytest.mark.parametrize(
    ("section", "change", "sentence"),
    [
        (None, {"model_type": "qwen2"}, "is of model_type 'qwen2', expected 'qwen2_audio'; give a Qwen2-Audio"),
        ("text_config", {"layer_types": ["full_attention"]}, "'sliding_attention' for each of 2 layers"),
        ("text_config", {"layer_types": ["full_attention", "linear_attention"]}, "expected 'full_attention' or"),
        ("text_config", {"layer_types": ["sliding_attention"] * 2}, "use_sliding_window is False"),
        (
            "text_config",
            {"use_sliding_window": True, "sliding_window": 0, "max_window_layers": 0},
            "use_sliding_window is True and sliding_window 0, expected True and at least 1",
        ),
        (
            "text_config",
            {"hidden_act": "gelu"},
            "text_config.hidden_act is 'gelu', expected 'silu' as in the released model",
        ),
        ("audio_config", {"scale_embedding": True}, "audio_config.scale_embedding is True, expected False"),
        ("audio_config", {"activation_function": "relu"}, "audio_config.activation_function is 'relu'"),
        ("text_config", {"rope_scaling": {"type": "yarn"}}, "scales its rotary positions"),
        ("text_config", {"rope_parameters": {"rope_type": "yarn"}}, "scales its rotary positions"),
    ],
)
def test_other_models_are_refused(section: str | None, change: dict[str, object], sentence: str, tiny_config: Config):
    contents = config_to_json(tiny_config())
    (contents if section is None else contents[section]).update(change)
    with pytest.raises(UserError) as caught:
        config_from_json(contents)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("layers", [(0, 1), (1,)])
def test_sliding_layers_are_understood_without_their_list(layers: tuple[int, ...], tiny_config: Config):
    """By readers that know `max_window_layers` alone, where the sliding layers are the last ones."""
    config = tiny_config(sliding_window=5, sliding_layers=layers)
    contents = config_to_json(config)
    del contents["text_config"]["layer_types"]
    assert config_from_json(contents) == config


def test_theta_in_either_place(tiny_config: Config):
    contents = config_to_json(tiny_config(rope_theta=5e5))
    old, new = json.loads(json.dumps(contents)), json.loads(json.dumps(contents))
    del old["text_config"]["rope_parameters"]
    del new["text_config"]["rope_theta"]
    assert config_from_json(old).text.rope_theta == config_from_json(new).text.rope_theta == 5e5
