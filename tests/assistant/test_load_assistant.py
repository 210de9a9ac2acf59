"""load -> Assistant on a tiny checkpoint: what it answers, from which sources, and what it refuses."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

import auricle
from auricle import Assistant, Sampling, UserError
from auricle.assistant import describe
from auricle.audio import Waveform, cut_windows
from auricle.engines import NativeEngine
from auricle.engines.device import choose_device, choose_dtype
from auricle.model import Qwen2Audio

Noise = Callable[..., np.ndarray]
SHORT = Sampling(max_new_tokens=8)


@pytest.fixture(scope="module")
def assistant(checkpoint_dir: Path) -> Assistant:
    return auricle.load(checkpoint_dir, device="cpu")


def test_recordings_are_told_apart(assistant: Assistant, recordings: list[Path]):
    """Else agreement between sources could come from a model that hears nothing."""
    texts = [result.text for result in assistant.transcribe(list(recordings), sampling=SHORT, voice=None)]
    assert len(set(texts)) == 3


def test_path_bytes_and_array_get_the_same_answer(assistant: Assistant, recordings: list[Path]):
    path = recordings[1]
    samples = auricle.audio.load(path).samples  # type: ignore[attr-defined]
    sources = [path, str(path), path.read_bytes(), (samples, 16000)]
    transcripts = assistant.transcribe(sources, sampling=SHORT, voice=None)
    assert len({result.text for result in transcripts}) == 1
    assert {result.duration_s for result in transcripts} == {2.5}
    assert len({assistant.ask("What is said?", source, sampling=SHORT).text for source in sources}) == 1


def test_many_recordings_as_one_by_one(assistant: Assistant, recordings: list[Path]):
    together = assistant.transcribe(list(recordings), sampling=SHORT, voice=None)
    apart = [assistant.transcribe(path, sampling=SHORT, voice=None) for path in recordings]
    assert [result.text for result in together] == [result.text for result in apart]
    for one, other in zip(together, apart, strict=True):
        assert one.segments[0].logprob == pytest.approx(other.segments[0].logprob, abs=1e-4)
    asked = assistant.ask("Who speaks?", list(recordings), sampling=SHORT)
    assert asked == [assistant.ask("Who speaks?", path, sampling=SHORT) for path in recordings]
    assert [Path(result.path or "") for result in asked] == recordings


def test_a_long_recording_is_transcribed_window_by_window(assistant: Assistant, noise: Noise):
    samples = noise(65)
    brief = Sampling(max_new_tokens=4)
    whole = assistant.transcribe((samples, 16000), sampling=brief, voice=None)
    windows = cut_windows(Waveform(samples))
    parts = assistant.transcribe([(window.samples, 16000) for window in windows], sampling=brief, voice=None)
    assert len(windows) == 3
    assert whole.text == " ".join(filter(None, (part.text for part in parts)))
    assert whole.num_tokens == sum(part.num_tokens for part in parts)
    assert whole.duration_s == 65


@pytest.mark.parametrize("hears", [True, False])
def test_streamed_pieces_joined_are_the_answer(hears: bool, assistant: Assistant, recordings: list[Path]):
    heard = recordings[:1] if hears else []
    pieces = list(assistant.stream("Which mood?", *heard, sampling=SHORT))
    assert len(pieces) > 1
    assert "".join(pieces).strip() == assistant.ask("Which mood?", *heard, sampling=SHORT).text


def test_the_question_matters(assistant: Assistant):
    assert assistant.ask("What is said?", sampling=SHORT).text != assistant.ask("Who speaks?", sampling=SHORT).text


def test_what_cannot_be_streamed_is_refused_at_once(assistant: Assistant, tmp_path: Path):
    with pytest.raises(UserError, match="no such file"):
        assistant.stream("What is said?", tmp_path / "missing.wav")


def test_settings_of_load(checkpoint_dir: Path):
    assistant = auricle.load(str(checkpoint_dir), dtype="bfloat16", device="cpu", batch_size=3)
    assert isinstance(assistant.engine, NativeEngine)
    assert assistant.engine.batch_size == 3
    assert {parameter.dtype for parameter in assistant.engine.checkpoint.model.parameters()} == {torch.bfloat16}
    assert isinstance(assistant.ask("Who speaks?", sampling=SHORT).text, str)


def test_loading_changes_no_global_setting(checkpoint_dir: Path):
    before = (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled(), torch.initial_seed())
    auricle.load(checkpoint_dir, dtype="bfloat16", device="cpu").ask("Who speaks?", sampling=Sampling(0.7, seed=5))
    assert (
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.initial_seed(),
    ) == before


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batch_size(batch_size: int, checkpoint_dir: Path):
    with pytest.raises(UserError, match=rf"batch_size must be at least 1: got {batch_size}"):
        auricle.load(checkpoint_dir, batch_size=batch_size)


@pytest.mark.parametrize("device", ["gpu", "", "cuda:99", "cpu0", "meta"])
def test_devices_that_are_not_here(device: str, checkpoint_dir: Path):
    with pytest.raises(UserError, match=r"no device '.*' here: expected auto, cpu, cuda"):
        auricle.load(checkpoint_dir, device=device)


@pytest.mark.parametrize("dtype", ["float8", "", "torch.float32", "int8"])
def test_unknown_dtypes(dtype: str, checkpoint_dir: Path):
    with pytest.raises(UserError, match=rf"unknown dtype '{dtype}': expected auto, float32 or bfloat16"):
        auricle.load(checkpoint_dir, dtype=dtype)


def test_auto_dtype_and_device():
    assert choose_device("auto").type in {"cpu", "cuda", "mps"}
    assert choose_dtype("auto", torch.device("cpu")) == torch.float32
    assert choose_dtype("auto", torch.device("cuda")) == torch.bfloat16
    assert choose_dtype("bfloat16", torch.device("cpu")) == torch.bfloat16


def test_directory_that_is_no_checkpoint(tmp_path: Path):
    with pytest.raises(UserError, match=r"no tokenizer\.json in .*; expected a checkpoint directory"):
        auricle.load(tmp_path)


def test_describe_counts_what_is_there(checkpoint_dir: Path, tiny_model: Callable[..., Qwen2Audio], tmp_path: Path):
    facts, model = describe(checkpoint_dir), tiny_model()
    assert facts.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert facts.parameters == facts.encoder_parameters + facts.projector_parameters + facts.decoder_parameters
    assert facts.projector_parameters == 16 * 32 + 32
    assert facts.file_bytes == (checkpoint_dir / "model.safetensors").stat().st_size
    assert facts.directory == str(checkpoint_dir)
    assert not facts.quantised
    assert (facts.audio["num_layers"], facts.text["num_kv_heads"]) == (2, 2)
    json.dumps(asdict(facts))
    with pytest.raises(UserError, match=r"no config\.json"):
        describe(tmp_path)
