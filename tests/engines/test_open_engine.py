"""One door to every engine: what it opens, what it refuses, and what it exports for others."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from scripted_server import serving

from auricle.conversation import RawPrompt, Sampling
from auricle.engines import ENGINES, NativeEngine, Request, open_engine
from auricle.engines.open import open_service
from auricle.engines.plain import plain_directory
from auricle.engines.transformers import TransformersEngine
from auricle.engines.upstream import UpstreamService
from auricle.errors import UserError
from auricle.model import Qwen2Audio
from auricle.weights import read_checkpoint, write_packed

BRIEF = Sampling(max_new_tokens=6)
REQUEST = Request(RawPrompt(("recognize the speech:",)))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "auricle" / "exports"


@pytest.fixture
def tied(
    tiny_model: Callable[..., Qwen2Audio], write_checkpoint: Callable[[Qwen2Audio, Path], Path], tmp_path: Path
) -> Path:
    return write_checkpoint(tiny_model(tied_head=True), tmp_path / "tied")


def test_native_is_the_default(checkpoint_dir: Path):
    engine = open_engine(checkpoint_dir, device="cpu", dtype="bfloat16", batch_size=3)
    assert isinstance(engine, NativeEngine)
    assert engine.batch_size == 3
    assert engine.checkpoint.directory == checkpoint_dir
    assert {parameter.dtype for parameter in engine.checkpoint.model.parameters()} == {torch.bfloat16}


def test_a_tied_checkpoint_says_the_same_through_transformers(tied: Path, cache: Path):
    ours, theirs = open_engine(tied), open_engine(tied, engine="transformers", batch_size=2)
    assert isinstance(theirs, TransformersEngine)
    assert theirs.batch_size == 2
    [one], [other] = ours.generate([REQUEST], BRIEF), theirs.generate([REQUEST], BRIEF)
    assert one.text == other.text
    assert [path.name[:5] for path in cache.iterdir()] == ["tied-"]


def test_an_export_is_made_once_and_anew_after_a_change(tied: Path, cache: Path):
    first = plain_directory(tied, dtype=torch.float32)
    made = (first / "model.safetensors.index.json", first / "config.json")
    times = {path: path.stat().st_mtime_ns for path in first.iterdir()}
    assert any(path.exists() for path in made)
    assert plain_directory(tied, dtype=torch.float32) == first
    assert {path: path.stat().st_mtime_ns for path in first.iterdir()} == times
    assert plain_directory(tied, dtype=torch.bfloat16) != first
    os.utime(tied / "model.safetensors", ns=(1, 1))
    assert plain_directory(tied, dtype=torch.float32) != first
    assert len(list(cache.iterdir())) == 3  # and nothing half-made


def test_an_export_needs_no_export(tied: Path, cache: Path):
    plain = plain_directory(tied, dtype=torch.float32)
    assert plain_directory(plain, dtype=torch.float32) == plain


@pytest.mark.usefixtures("cache")
def test_what_others_cannot_read_is_exported(tied: Path, checkpoint_dir: Path, tmp_path: Path):
    """A tied head, packed tensors, or no processor files."""
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    shutil.copytree(checkpoint_dir, plain)
    model = read_checkpoint(plain, dtype=torch.float32, device=torch.device("cpu")).model
    schemes = {"language_model.model.layers.0.mlp.up_proj.weight": "int8"}
    write_packed(model.state_dict(), schemes, packed, max_shard_bytes=10**8)  # type: ignore[arg-type]
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(plain / name, packed)
    for directory in (plain, tied, packed):
        assert plain_directory(directory, dtype=torch.float32) != directory
        for name in ("preprocessor_config.json", "tokenizer_config.json"):
            (directory / name).write_text("{}")
    assert [plain_directory(path, dtype=torch.float32) == path for path in (plain, tied, packed)] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"engine": "tensorrt"},
            r"unknown engine 'tensorrt': expected native, transformers, vllm, or a URL such as http",
        ),
        ({"engine": "ftp://host/v1"}, "unknown engine 'ftp://host/v1'"),
        ({"batch_size": 0}, "batch_size must be at least 1: got 0"),
        ({"engine": "vllm", "device": "cpu"}, "engine vllm chooses its own device: got 'cpu'; leave it out"),
        ({"engine": "http://127.0.0.1:9/v1", "dtype": "float32"}, "chooses its own dtype: got 'float32'"),
        ({"engine": "http://127.0.0.1:9/v1", "device": "cuda"}, "chooses its own device: got 'cuda'"),
        ({"engine": "http://127.0.0.1:9/v1", "revision": "main"}, "chooses its own revision: got 'main'"),
        ({"dtype": "float8"}, "unknown dtype 'float8'"),
        ({"engine": "transformers", "device": "gpu"}, "no device 'gpu' here"),
    ],
)
def test_what_is_refused(options: dict[str, Any], sentence: str, checkpoint_dir: Path):
    with pytest.raises(UserError, match=sentence):
        open_engine(checkpoint_dir, **options)


def test_no_such_model():
    for engine in ENGINES:
        with pytest.raises(UserError, match="unknown model 'nothing'"):
            open_engine("nothing", engine=engine)


def test_a_native_service(checkpoint_dir: Path):
    service = open_service(checkpoint_dir, device="cpu", dtype="float32", batch_size=3)
    try:
        assert service.batch_size == 3
        said = service.submit(REQUEST, BRIEF).answer()
        assert [said.text] == [answer.text for answer in open_engine(checkpoint_dir).generate([REQUEST], BRIEF)]
    finally:
        service.close()


def test_a_service_of_upstream_servers():
    with serving() as one, serving() as other:
        service = open_service("audio-7b", upstreams=[one.url, other.url], engine="vllm", batch_size=3)
        assert isinstance(service, UpstreamService)
        assert service.batch_size == 6
        service.close()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"engine": "transformers"}, "unknown engine 'transformers': expected native or vllm, or --upstream URL"),
        ({"engine": "http://127.0.0.1:9/v1"}, "unknown engine 'http://127.0.0.1:9/v1'"),
        ({"batch_size": 0}, "batch_size must be at least 1: got 0"),
        ({"cache_mb": -1}, "cache_mb is the native engine's, and not negative: got -1; leave it out"),
        ({"cache_mb": 5, "engine": "vllm"}, "cache_mb is the native engine's, and not negative: got 5"),
        ({"cache_mb": 5, "upstreams": ["http://127.0.0.1:9/v1"]}, "cache_mb is the native engine's"),
        ({"vllm_args": ["--enforce-eager"]}, "--enforce-eager is a flag for vLLM: choose --engine vllm, or leave it"),
        (
            {"engine": "vllm", "upstreams": ["http://127.0.0.1:9/v1"], "vllm_args": ["-tp", "2"]},
            "-tp is a flag for vLLM",
        ),
        ({"engine": "vllm", "device": "cpu"}, "engine vllm chooses its own device: got 'cpu'; leave it out"),
        ({"upstreams": ["127.0.0.1:9/v1"]}, "an upstream server is named by its URL, such as .*: got '127.0.0.1:9/v1'"),
        ({"upstreams": ["http://h/v1"], "dtype": "float32"}, "engine http://h/v1 chooses its own dtype: got 'float32'"),
        ({"upstreams": ["http://h/v1"], "device": "cuda"}, "chooses its own device: got 'cuda'"),
        ({"upstreams": ["http://h/v1"], "revision": "main"}, "chooses its own revision: got 'main'"),
    ],
)
def test_what_a_service_refuses(options: dict[str, Any], sentence: str, checkpoint_dir: Path):
    with pytest.raises(UserError, match=sentence):
        open_service(checkpoint_dir, **options)


def test_importing_the_engines_imports_no_optional_library():
    code = "import sys, auricle.engines; print(sorted({'vllm', 'transformers', 'openai'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
