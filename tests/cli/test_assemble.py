"""`auricle assemble`, from parents written without transformers: what it prints, fits and refuses."""

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from auricle.model import Qwen2Audio
from auricle.text import Tokenizer
from auricle.weights import read_model
from auricle.weights.config_json import config_to_json

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def parents(
    tiny_model: Callable[..., Qwen2Audio], tokenizer_json: str, tmp_path_factory: pytest.TempPathFactory
) -> list[object]:
    """A Whisper and a Qwen2 directory, cut out of a tiny Qwen2-Audio."""
    folder = tmp_path_factory.mktemp("parents")
    model = tiny_model()
    contents: dict[str, Any] = config_to_json(model.config)
    for part, prefix, section, kind in (
        ("whisper", "audio_tower.", "audio_config", "whisper"),
        ("text", "language_model.", "text_config", "qwen2"),
    ):
        (folder / part).mkdir()
        named = {name.removeprefix(prefix): t for name, t in model.state_dict().items() if name.startswith(prefix)}
        save_file(
            {f"encoder.{n}" if part == "whisper" else n: t for n, t in named.items()},
            folder / part / "model.safetensors",
        )
        (folder / part / "config.json").write_text(json.dumps(contents[section] | {"model_type": kind}))
    (folder / "text" / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
    return ["--encoder", folder / "whisper", "--decoder", folder / "text"]


@pytest.fixture(scope="module")
def manifest(recordings: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("manifest") / "spoken.jsonl"
    texts = ["the quick brown fox", "jumps over", "the lazy dog, again and again"]
    lines = [json.dumps({"audio": str(one), "text": text}) for one, text in zip(recordings, texts, strict=True)]
    path.write_text("\n".join(lines) + "\n\n")
    return path


def projector(directory: Path) -> torch.Tensor:
    return load_file(directory / "model.safetensors")["multi_modal_projector.linear.weight"]


def test_random_is_the_default(run_cli: Run, parents: list[object], tmp_path: Path):
    assert run_cli("assemble", *parents, tmp_path / "a") == (0, f"{tmp_path / 'a'}\n", "")
    assert run_cli("assemble", *parents, tmp_path / "b", "--projector", "random", "--seed", 0)[0] == 0
    assert run_cli("assemble", *parents, tmp_path / "c", "--seed", 1, "--dtype", "bfloat16")[0] == 0
    assert projector(tmp_path / "a").equal(projector(tmp_path / "b"))
    assert not projector(tmp_path / "a").equal(projector(tmp_path / "c").float())
    assert projector(tmp_path / "c").dtype == torch.bfloat16


def test_every_token_was_there_already(
    run_cli: Run, parents: list[object], tmp_path: Path, tiny_model: Callable[..., Qwen2Audio]
):
    """The cut-out parts are put together again: all but the projector is the model they came from."""
    assert run_cli("assemble", *parents, tmp_path / "out")[0] == 0
    again = read_model(tmp_path / "out", dtype=torch.float32, device=torch.device("cpu"))
    assert again.config == tiny_model().config
    for name, tensor in tiny_model().state_dict().items():
        assert tensor.equal(again.state_dict()[name]) is ("projector" not in name), name


@pytest.mark.parametrize(
    ("config", "generation", "stop", "pad"),
    [
        ({"eos_token_id": 7, "pad_token_id": 5}, None, [7], 5),
        ({"eos_token_id": [9, 7], "pad_token_id": -1}, None, [7, 9], "<|endoftext|>"),
        ({"eos_token_id": 7, "pad_token_id": 5}, {"eos_token_id": [8], "pad_token_id": 6}, [8], 6),
        ({"eos_token_id": 7}, {"pad_token_id": 6}, [7], 6),
        ({}, None, [], "<|endoftext|>"),
    ],
)
def test_how_answers_end(
    config: dict[str, Any],
    generation: dict[str, Any] | None,
    stop: list[int],
    pad: int | str,
    run_cli: Run,
    parents: list[Any],
    tokenizer: Tokenizer,
    tmp_path: Path,
):
    """The turn's end and what the text model's generation_config.json says, or else its config.json."""
    text = Path(shutil.copytree(parents[3], tmp_path / "text"))
    (text / "config.json").write_text(json.dumps(json.loads((text / "config.json").read_text()) | config))
    if generation is not None:
        (text / "generation_config.json").write_text(json.dumps(generation))
    assert run_cli("assemble", *parents[:3], text, tmp_path / "out")[0] == 0
    said = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert said["eos_token_id"] == [tokenizer.special("<|im_end|>"), *stop]
    assert said["pad_token_id"] == (tokenizer.special(pad) if isinstance(pad, str) else pad)


def test_ridge_says_what_it_explains(
    run_cli: Run, parents: list[object], manifest: Path, recordings: list[Path], tmp_path: Path
):
    options = ["--projector", "ridge", "--data", manifest]
    code, out, err = run_cli("assemble", *parents, tmp_path / "a", *options)
    assert (code, out) == (0, f"{tmp_path / 'a'}\n")
    last = err.splitlines()[-1]
    assert last.startswith("the projector explains ")
    assert last.endswith("% of the embeddings' variance")
    assert run_cli("assemble", *parents, tmp_path / "b", *options, "--seed", 3)[0] == 0
    assert projector(tmp_path / "a").equal(projector(tmp_path / "b"))  # the recordings decide, not the seed
    code, out, _ = run_cli("transcribe", recordings[0], "--model", tmp_path / "a", "--device", "cpu", "--no-vad")
    assert code == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--projector", "ridge"], "a ridge projector is fitted to recordings: give data"),
        (["--data", "MANIFEST"], "a random projector is fitted to nothing: got data"),
        (["--projector", "linear"], "unknown projector 'linear': expected random or ridge"),
        (["--projector", "ridge", "--data", "nowhere.jsonl"], "cannot read the manifest nowhere.jsonl"),
        (["--encoder", "DECODER"], "is of model_type 'qwen2', expected 'whisper' for the encoder"),
        (["--decoder", "ENCODER"], "is of model_type 'whisper', expected 'qwen2' or 'llama' for the decoder"),
        (["--encoder", "nowhere"], "unknown model 'nowhere'"),
        (["--dtype", "int8"], "unknown dtype 'int8'"),
    ],
)
def test_one_sentence(
    options: list[str], sentence: str, run_cli: Run, parents: list[object], manifest: Path, tmp_path: Path
):
    names = {"MANIFEST": manifest, "ENCODER": parents[1], "DECODER": parents[3]}
    arguments = [*parents, tmp_path / "out", *(names.get(option, option) for option in options)]
    code, out, err = run_cli("assemble", *arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert sentence in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("", "is empty; expected one JSON object a line"),
        ("{", '; expected {"audio": path, "text": words} on one line'),
        ('{"audio": "300hz.wav", "text": "a"}\n[1]', ':2 is [1], expected {"audio": path, "text": words}'),
        ('{"audio": "300hz.wav"}', ':1 is {"audio": "300hz.wav"}, expected'),
        ('{"audio": "300hz.wav", "text": " "}', "expected"),
        ('{"audio": "nowhere.wav", "text": "a"}', "no such file"),
        ('{"audio": "long.wav", "text": "a"}', "long.wav lasts 31.0 s, expected at most 30; leave it out"),
    ],
)
def test_a_manifest_that_is_wrong(
    lines: str,
    sentence: str,
    run_cli: Run,
    parents: list[object],
    recordings: list[Path],
    noise: Callable[..., np.ndarray],
    encode_audio: Callable[..., bytes],
    tmp_path: Path,
):
    (tmp_path / "300hz.wav").write_bytes(recordings[0].read_bytes())
    if "long" in lines:
        sound = encode_audio(noise(31.0)[None], container="wav", codec="pcm_s16le", rate=16000)
        (tmp_path / "long.wav").write_bytes(sound)
    (tmp_path / "spoken.jsonl").write_text(lines)
    options = ["--projector", "ridge", "--data", tmp_path / "spoken.jsonl"]
    code, out, err = run_cli("assemble", *parents, tmp_path / "out", *options)
    assert (code, out) == (2, "")
    assert sentence in err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_filled_directory_is_refused_before_anything_is_heard(
    run_cli: Run, parents: list[object], manifest: Path, monkeypatch: pytest.MonkeyPatch
):
    module = importlib.import_module("auricle.assistant.assemble")  # the function of that name hides it
    monkeypatch.setattr(module, "load", lambda _: pytest.fail("a recording was read"))
    options = ["--projector", "ridge", "--data", manifest]
    code, out, err = run_cli("assemble", *parents, manifest.parent, *options)
    assert (code, out) == (2, "")
    assert "is not empty; name a new directory" in err


def test_parents_are_needed(run_cli: Run, parents: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "200")
    for arguments in ([tmp_path / "out"], [*parents[:2], tmp_path / "out"], parents):
        code, _, err = run_cli("assemble", *arguments)
        assert code == 2
        assert "Missing" in err
    assert "Usage: auricle assemble" in run_cli("assemble", "--help")[1]
