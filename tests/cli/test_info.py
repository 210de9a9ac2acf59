"""`auricle info`: what a directory says, to a reader and to a program."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from auricle.weights import read_model, write_packed

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def copy(checkpoint_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint_dir, tmp_path / "copy"))


def facts(run_cli: Run, model: Path) -> dict[str, Any]:
    code, out, err = run_cli("info", model, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_the_generation_config_is_shown(run_cli: Run, copy: Path):
    published = {"do_sample": True, "temperature": 0.7, "top_k": 20, "top_p": 0.5, "repetition_penalty": 1.1}
    (copy / "generation_config.json").write_text(json.dumps(published | {"eos_token_id": [9, 4], "pad_token_id": 4}))
    said = facts(run_cli, copy)["generation"]
    assert said["eos_token_ids"] == [4, 9]
    assert said["pad_token_id"] == 4
    assert {key: said[key] for key in ("temperature", "top_k", "top_p", "repetition_penalty")} == {
        key: value for key, value in published.items() if key != "do_sample"
    }
    lines = run_cli("info", copy)[1].splitlines()
    [line] = [line for line in lines if line.startswith("generation: ")]
    assert "eos_token_ids [4, 9], pad_token_id 4, temperature 0.7, top_k 20, top_p 0.5" in line


def test_the_audio_token_the_licence_and_the_sliding_window(run_cli: Run, copy: Path):
    assert facts(run_cli, copy)["licences"] == []
    assert "licences: none" in run_cli("info", copy)[1].splitlines()
    (copy / "LICENSE").write_text("Apache")
    (copy / "licences").mkdir()
    (copy / "licences" / "MIT.txt").write_text("MIT")
    config = json.loads((copy / "config.json").read_text())
    config["text_config"] |= {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1}
    (copy / "config.json").write_text(json.dumps(config))
    shown = facts(run_cli, copy)
    assert shown["licences"] == ["LICENSE", "licences/MIT.txt"]
    assert shown["audio_token_id"] == config["audio_token_index"]
    assert (shown["text"]["sliding_window"], shown["text"]["sliding_layers"]) == (7, [1])
    lines = run_cli("info", copy)[1].splitlines()
    assert "licences: LICENSE, licences/MIT.txt" in lines
    assert f"audio token id: {config['audio_token_index']}" in lines


def test_the_numbers_in_the_files(run_cli: Run, copy: Path, checkpoint_dir: Path):
    assert facts(run_cli, copy)["dtypes"] == ["F32"]
    assert not facts(run_cli, copy)["quantised"]
    model = read_model(checkpoint_dir, dtype=torch.float32, device=torch.device("cpu"))
    (copy / "model.safetensors").unlink()
    write_packed(
        dict(model.named_parameters()), {"audio_tower.layers.0.fc1.weight": "int8"}, copy, max_shard_bytes=9**9
    )
    shown = facts(run_cli, copy)
    assert shown["dtypes"] == ["BF16", "F16", "I8"]
    assert shown["quantised"]
    assert shown["file_bytes"] == (copy / "model.safetensors").stat().st_size


@pytest.mark.parametrize(
    ("name", "contents", "sentence"),
    [
        ("model.safetensors", b"no tensors", "is damaged"),
        ("generation_config.json", b'{"top_k": 1, "num_beams": 0}', "num_beams must be at least 1: got 0"),
        ("config.json", b"[]", "holds a list, expected a JSON object"),
    ],
)
def test_a_damaged_file_is_named(name: str, contents: bytes, sentence: str, run_cli: Run, copy: Path):
    (copy / name).write_bytes(contents)
    code, out, err = run_cli("info", copy)
    assert (code, out) == (2, "")
    assert str(copy / name) in err
    assert sentence in err
