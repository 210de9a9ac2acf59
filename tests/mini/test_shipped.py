"""The embedded model's files: size, form, and that nothing else is needed to load them."""

import json
from pathlib import Path

import pytest

from auricle.weights import locate, read_config

pytestmark = pytest.mark.mini


@pytest.fixture(scope="module")
def directory() -> Path:
    return locate("mini")


def test_weights_stay_within_their_size(directory):
    sizes = [path.stat().st_size for path in directory.glob("*.safetensors")]
    assert sizes
    assert sum(sizes) <= 115_000_000
    assert max(sizes) <= 50_000_000


def test_no_full_precision_copy_is_shipped(directory):
    layout = json.loads((directory / "quantization.json").read_text())["tensors"]
    index = json.loads((directory / "model.safetensors.index.json").read_text())["weight_map"]
    assert set(layout.values()) == {"int5"}
    assert not set(layout) & set(index)


def test_it_is_the_architecture_of_the_design(directory):
    config = read_config(directory)
    assert (config.audio.num_mel_bins, config.audio.width, config.audio.num_layers, config.audio.num_heads) == (
        80,
        512,
        6,
        8,
    )
    text = config.text
    assert (text.width, text.num_layers, text.num_heads, text.num_kv_heads, text.tied_head) == (576, 30, 9, 3, True)
    assert text.rope_theta == 100_000
    assert text.vocab_size % 64 == 0


def test_the_model_card_is_there(directory):
    card = (directory / "README.md").read_text()
    for heading in ("Data", "Licences", "Scores", "Limits"):
        assert f"## {heading}" in card
