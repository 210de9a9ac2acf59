"""One door to every engine: by its name, or by a server's URL."""

from pathlib import Path

from auricle.engines.device import choose_device, choose_dtype
from auricle.engines.interface import Engine
from auricle.engines.native import NativeEngine
from auricle.engines.openai import OpenAIEngine
from auricle.engines.plain import plain_directory
from auricle.engines.transformers import TransformersEngine
from auricle.engines.vllm import VllmEngine
from auricle.errors import UserError
from auricle.extend import use_onednn
from auricle.weights import locate, read_checkpoint

ENGINES = ("native", "transformers", "vllm")


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
    if batch_size < 1:
        raise UserError(f"batch_size must be at least 1: got {batch_size}")
    if engine.startswith(("http://", "https://")):
        _require_neutral(engine, dtype=(dtype, "auto"), device=(device, "auto"), revision=(revision, None))
        return OpenAIEngine(engine, model=str(model), batch_size=batch_size)
    if engine not in ENGINES:
        raise UserError(
            f"unknown engine {engine!r}: expected {', '.join(ENGINES)}, or a URL such as http://host:8000/v1"
        )
    if engine == "vllm":
        _require_neutral(engine, device=(device, "auto"))
    where = choose_device(device)
    numbers = choose_dtype(dtype, where)
    directory = locate(model, revision)
    if engine == "native":
        checkpoint = read_checkpoint(directory, dtype=numbers, device=where)
        use_onednn(checkpoint.model)
        return NativeEngine(checkpoint, batch_size=batch_size)
    plain = plain_directory(directory, dtype=numbers)
    if engine == "vllm":
        return VllmEngine(plain, dtype=numbers, batch_size=batch_size)
    return TransformersEngine(plain, dtype=numbers, device=where, batch_size=batch_size)


def _require_neutral(engine: str, **options: tuple[str | None, str | None]) -> None:
    """Refuse an option that the engine would not hear."""
    for name, (got, neutral) in options.items():
        if got != neutral:
            raise UserError(f"engine {engine} chooses its own {name}: got {got!r}; leave it out")
