"""One door to every engine: by its name, or by a server's URL."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from auricle.engines.device import choose_device, choose_dtype
from auricle.engines.driver import Driver
from auricle.engines.interface import Engine
from auricle.engines.native import NativeEngine
from auricle.engines.native_stepper import NativeStepper
from auricle.engines.openai import OpenAIEngine
from auricle.engines.plain import plain_directory
from auricle.engines.service import Service
from auricle.engines.transformers import TransformersEngine
from auricle.engines.upstream import UpstreamService
from auricle.engines.vllm import VllmEngine, VllmStepper
from auricle.errors import UserError
from auricle.extend import use_onednn
from auricle.weights import locate, read_checkpoint

ENGINES = ("native", "transformers", "vllm")
SERVED = ("native", "vllm")


class _Found(NamedTuple):
    """What was asked for, as it is here."""

    directory: Path
    dtype: torch.dtype
    device: torch.device


def open_engine(
    model: str | Path,
    *,
    engine: str = "native",
    dtype: str = "auto",
    device: str = "auto",
    batch_size: int = 8,
    revision: str | None = None,
) -> Engine:
    """A loaded model behind the interface that all engines share.

    Args:
        model: `mini`, a checkpoint directory or a hub id; for a URL, the server's name of the model.
        engine: `native`, `transformers`, `vllm`, or the URL of an OpenAI-compatible server, such as
            `http://localhost:8000/v1`; its key is read from OPENAI_API_KEY.
        dtype: `float32`, `bfloat16`, or `auto`: bfloat16 on CUDA, float32 elsewhere.
        device: `cpu`, `cuda`, `mps`, or `auto`: the fastest there is.
        batch_size: how many recordings of 30 s are answered at once.
        revision: branch, tag or commit of a hub id.

    Raises:
        UserError: no such engine, model, device or dtype, a library that is not installed, a server that does not
            answer, or an option that this engine leaves no choice in.
    """
    _require_room(batch_size)
    if _is_url(engine):
        _require_neutral(engine, dtype=(dtype, "auto"), device=(device, "auto"), revision=(revision, None))
        return OpenAIEngine(engine, model=str(model), batch_size=batch_size)
    if engine not in ENGINES:
        raise UserError(
            f"unknown engine {engine!r}: expected {', '.join(ENGINES)}, or a URL such as http://host:8000/v1"
        )
    found = _find(model, engine, dtype, device, revision)
    if engine == "native":
        return _native(found, batch_size)
    plain = plain_directory(found.directory, dtype=found.dtype)
    if engine == "vllm":
        return VllmEngine(plain, dtype=found.dtype, batch_size=batch_size)
    return TransformersEngine(plain, dtype=found.dtype, device=found.device, batch_size=batch_size)


def open_service(
    model: str | Path,
    *,
    engine: str = "native",
    dtype: str = "auto",
    device: str = "auto",
    batch_size: int = 8,
    revision: str | None = None,
    upstreams: Sequence[str] = (),
    vllm_args: Sequence[str] = (),
    cache_mb: int | None = None,
) -> Service:
    """A loaded model that many clients share; close it in the end.

    Args:
        model: as for `open_engine`; with `upstreams`, the servers' name of the model.
        engine: `native` or `vllm`.
        dtype: as for `open_engine`.
        device: as for `open_engine`.
        batch_size: how many recordings of 30 s are answered at once, by each server where there are `upstreams`.
        revision: branch, tag or commit of a hub id.
        upstreams: URLs of running OpenAI-compatible servers of one kind, which then answer instead of an engine here;
            their key is read from OPENAI_API_KEY.
        vllm_args: vLLM's own flags, as `vllm serve` takes them.
        cache_mb: what the native engine may keep of recordings and conversations that it heard, MB of 10**6 bytes,
            half for each; 0 keeps nothing, None what it needs for as many as it answers at once.

    Raises:
        UserError: as `open_engine`, or a flag that vLLM does not know or that Auricle decides.
    """
    _require_room(batch_size)
    if engine not in SERVED:
        raise UserError(f"unknown engine {engine!r}: expected {' or '.join(SERVED)}, or --upstream URL for a server")
    if cache_mb is not None and (cache_mb < 0 or upstreams or engine != "native"):
        raise UserError(f"cache_mb is the native engine's, and not negative: got {cache_mb}; leave it out")
    if vllm_args and (upstreams or engine != "vllm"):
        raise UserError(f"{vllm_args[0]} is a flag for vLLM: choose --engine vllm, or leave it out")
    if upstreams:
        _require_neutral(upstreams[0], dtype=(dtype, "auto"), device=(device, "auto"), revision=(revision, None))
        for url in upstreams:
            if not _is_url(url):
                raise UserError(f"an upstream server is named by its URL, such as http://host:8000/v1: got {url!r}")
        return UpstreamService(upstreams, model=str(model), batch_size=batch_size)
    found = _find(model, engine, dtype, device, revision)
    if engine == "native":
        return Driver(_stepper(_native(found, batch_size), cache_mb))
    plain = plain_directory(found.directory, dtype=found.dtype)
    return Driver(VllmStepper(plain, dtype=found.dtype, batch_size=batch_size, flags=vllm_args))


def _find(model: str | Path, engine: str, dtype: str, device: str, revision: str | None) -> _Found:
    if engine == "vllm":
        _require_neutral(engine, device=(device, "auto"))
    where = choose_device(device)
    numbers = choose_dtype(dtype, where)
    return _Found(locate(model, revision), numbers, where)


def _stepper(engine: NativeEngine, cache_mb: int | None) -> NativeStepper:
    if cache_mb is None:
        return NativeStepper(engine)
    half = cache_mb * 10**6 // 2
    return NativeStepper(engine, recordings_bytes=half, prefixes_bytes=half)


def _native(found: _Found, batch_size: int) -> NativeEngine:
    checkpoint = read_checkpoint(found.directory, dtype=found.dtype, device=found.device)
    use_onednn(checkpoint.model)
    return NativeEngine(checkpoint, batch_size=batch_size)


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _require_room(batch_size: int) -> None:
    if batch_size < 1:
        raise UserError(f"batch_size must be at least 1: got {batch_size}")


def _require_neutral(engine: str, **options: tuple[str | None, str | None]) -> None:
    """Refuse an option that the engine would not hear."""
    for name, (got, neutral) in options.items():
        if got != neutral:
            raise UserError(f"engine {engine} chooses its own {name}: got {got!r}; leave it out")
