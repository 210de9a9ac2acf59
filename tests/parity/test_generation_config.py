"""generation_config.json, as transformers uses it and as we read it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

from auricle.conversation import Sampling
from auricle.weights.generation_json import read_generation

pytestmark = pytest.mark.parity

FILES = st.fixed_dictionaries(
    {},
    optional={
        "do_sample": st.booleans(),
        "temperature": st.floats(0.1, 2),
        "top_k": st.integers(1, 80),
        "top_p": st.floats(0.1, 1),
        "min_p": st.floats(0, 0.5),
        "repetition_penalty": st.floats(0.5, 2),
        "length_penalty": st.floats(-1, 2),
        "max_new_tokens": st.integers(20, 90),
        "min_new_tokens": st.integers(0, 20),
        "max_length": st.integers(1, 9),
    },
)


@pytest.fixture(scope="module")
def reference() -> Qwen2ForCausalLM:
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 8}
    return Qwen2ForCausalLM(Qwen2Config(**sizes, num_attention_heads=1, num_key_value_heads=1))


def their_settings(reference: Qwen2ForCausalLM, directory: Path) -> Sampling:
    """What `generate()` of a model with that file would go by, in our words."""
    reference.generation_config = GenerationConfig.from_pretrained(directory)
    config, _ = reference._prepare_generation_config(None)
    common = {
        "repetition_penalty": config.repetition_penalty,
        "num_beams": config.num_beams,
        "length_penalty": config.length_penalty,
        "min_new_tokens": config.min_new_tokens or 0,
        "max_new_tokens": config.max_new_tokens or Sampling().max_new_tokens,
    }
    if not config.do_sample:
        return Sampling(**common)
    drawn = {"temperature": config.temperature, "top_k": config.top_k, "top_p": config.top_p}
    return Sampling(**common, **drawn, min_p=config.min_p or 0.0)


@given(contents=FILES)
def test_the_same_settings(
    contents: dict[str, Any], reference: Qwen2ForCausalLM, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.getbasetemp() / "generation"
    directory.mkdir(exist_ok=True)
    (directory / "generation_config.json").write_text(json.dumps(contents))
    assert read_generation(directory).sampling == their_settings(reference, directory)
