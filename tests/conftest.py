"""What the tests share: a tiny random checkpoint made without transformers, and recordings made on the spot."""

import io
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import hypothesis
import numpy as np
import pytest
import tokenizers
import torch

from auricle.model import AudioEncoderConfig, DecoderConfig, Qwen2Audio, Qwen2AudioConfig
from auricle.text import Tokenizer
from auricle.weights import Checkpoint, read_checkpoint, write_model

hypothesis.settings.register_profile("tests", deadline=None, max_examples=50, derandomize=True, database=None)
hypothesis.settings.load_profile("tests")

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>")
CORPUS = (
    "system user assistant You are a helpful assistant. Audio 1: Audio 2:",
    "Detect the language and recognize the speech:",
    "What is said? Who speaks, and in which mood? The quick brown fox jumps over the lazy dog, again and again.",
)
VOCAB_SIZE = 384


def _tokenizer_json(*, specials_in_vocabulary: bool) -> str:
    """A byte-level BPE; its special tokens lie in the vocabulary (as SmolLM2's) or after it (as Qwen2's)."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=360,
        show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=list(SPECIAL) if specials_in_vocabulary else [],
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer.to_str()


@pytest.fixture(scope="session", params=["specials in the vocabulary", "specials after the vocabulary"])
def any_tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    """Both layouts of special tokens in turn."""
    return Tokenizer(_tokenizer_json(specials_in_vocabulary=request.param == "specials in the vocabulary"))


@pytest.fixture(scope="session")
def tokenizer_json() -> str:
    return _tokenizer_json(specials_in_vocabulary=False)


@pytest.fixture(scope="session")
def tokenizer(tokenizer_json: str) -> Tokenizer:
    return Tokenizer(tokenizer_json)


@pytest.fixture(scope="session")
def tiny_config(tokenizer: Tokenizer) -> Callable[..., Qwen2AudioConfig]:
    """A configuration of a few thousand parameters; keyword arguments change the decoder's."""

    def make(**text: Any) -> Qwen2AudioConfig:
        decoder: dict[str, Any] = {
            "vocab_size": VOCAB_SIZE,
            "width": 32,
            "num_layers": 2,
            "num_heads": 4,
            "num_kv_heads": 2,
            "head_width": 8,
            "mlp_width": 48,
            "norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "max_tokens": 4096,
            "tied_head": False,
        }
        audio = AudioEncoderConfig(num_mel_bins=16, width=16, num_layers=2, num_heads=2, mlp_width=24)
        return Qwen2AudioConfig(audio, DecoderConfig(**(decoder | text)), tokenizer.special("<|AUDIO|>"))

    return make


@pytest.fixture(scope="session")
def tiny_model(tiny_config: Callable[..., Qwen2AudioConfig]) -> Callable[..., Qwen2Audio]:
    """A model with lively random weights: what it says depends on every recording and every word it reads."""

    def make(*, seed: int = 0, **text: Any) -> Qwen2Audio:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = Qwen2Audio(tiny_config(**text))
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    torch.nn.init.normal_(parameter, std=2 / math.sqrt(parameter[0].numel()))
                else:
                    torch.nn.init.normal_(parameter, mean=parameter.detach().mean().round().item(), std=0.2)
        return model.requires_grad_(False).eval()

    return make


@pytest.fixture(scope="session")
def write_checkpoint(tokenizer: Tokenizer, tokenizer_json: str) -> Callable[[Qwen2Audio, Path], Path]:
    """A model in its published directory layout."""

    def write(model: Qwen2Audio, directory: Path) -> Path:
        write_model(model, directory)
        (directory / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
        end, pad = tokenizer.special("<|im_end|>"), tokenizer.special("<|endoftext|>")
        generation = {"eos_token_id": [end, pad], "pad_token_id": pad}
        (directory / "generation_config.json").write_text(json.dumps(generation))
        return directory

    return write


@pytest.fixture(scope="session")
def checkpoint_dir(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_model: Callable[..., Qwen2Audio],
    write_checkpoint: Callable[[Qwen2Audio, Path], Path],
) -> Path:
    """A tiny checkpoint; tests that change it copy it first."""
    return write_checkpoint(tiny_model(), tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture(scope="session")
def checkpoint(checkpoint_dir: Path) -> Checkpoint:
    return read_checkpoint(checkpoint_dir, dtype=torch.float32, device=torch.device("cpu"))


@pytest.fixture(scope="session")
def sine() -> Callable[..., np.ndarray]:
    """float32 [samples] of one tone at half of full scale."""

    def make(duration_s: float, *, hz: float = 440.0, rate: int = 16000) -> np.ndarray:
        return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(duration_s * rate)) / rate)).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def noise() -> Callable[..., np.ndarray]:
    """float32 [samples] of seeded white noise at 16 kHz."""

    def make(duration_s: float, *, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).normal(0, 0.1, round(duration_s * 16000)).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def encode_audio() -> Callable[..., bytes]:
    """The bytes of an audio file: samples [channels, samples] through one of FFmpeg's encoders and containers."""

    def encode(
        samples: np.ndarray, *, container: str, codec: str, rate: int, options: dict[str, str] | None = None
    ) -> bytes:
        layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(samples)]
        file = io.BytesIO()
        with av.open(file, "w", format=container, container_options=options or {}) as output:
            stream = output.add_stream(codec, rate=rate, layout=layout, options={"strict": "experimental"})
            stream.codec_context.open()
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32), "fltp", layout)
            frame.sample_rate, frame.pts = rate, 0
            form, size = stream.codec_context.format.name, stream.codec_context.frame_size
            resampler = av.AudioResampler(format=form, layout=layout, rate=rate, frame_size=size or None)
            for part in [*resampler.resample(frame), *resampler.resample(None), None]:
                output.mux(stream.encode(part))
        return file.getvalue()

    return encode


@pytest.fixture(scope="session")
def recordings(
    tmp_path_factory: pytest.TempPathFactory, sine: Callable[..., np.ndarray], encode_audio: Callable[..., bytes]
) -> list[Path]:
    """Three wav files of different pitch and length (1, 2.5 and 4 s)."""
    directory = tmp_path_factory.mktemp("recordings")
    paths = []
    for duration_s, hz in ((1.0, 300.0), (2.5, 900.0), (4.0, 2500.0)):
        path = directory / f"{hz:.0f}hz.wav"
        path.write_bytes(encode_audio(sine(duration_s, hz=hz)[None], container="wav", codec="pcm_s16le", rate=16000))
        paths.append(path)
    return paths


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`auricle ...` inside this process -> exit code, stdout, stderr."""
    from auricle.cli.main import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["auricle", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as exit_:
            code = exit_.code or 0
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run
