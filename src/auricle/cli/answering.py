"""`transcribe` and `ask`: the options every answering command shares, and how results are printed."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auricle.conversation import Sampling
from auricle.errors import UserError

if TYPE_CHECKING:
    from auricle.assistant import Assistant, Result

Model = Annotated[str, typer.Option("--model", "-m", help="mini (embedded), a directory, or a hub id.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object per recording and line.")]
Greedy = Annotated[
    bool, typer.Option("--greedy", help="Always the likeliest token (the default without --temperature).")
]
Temperature = Annotated[float | None, typer.Option("--temperature", help="Sample; higher is freer. 0 is greedy.")]
TopP = Annotated[float, typer.Option("--top-p", help="Sample from the smallest set of tokens of this probability.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Makes sampling repeatable.")]
MaxNewTokens = Annotated[int, typer.Option("--max-new-tokens", help="Longest answer, in tokens, per window of 30 s.")]
Dtype = Annotated[str, typer.Option("--dtype", help="float32, bfloat16 or auto.")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, mps or auto.")]
BatchSize = Annotated[int, typer.Option("--batch-size", help="How many windows are answered at once.")]


def transcribe(
    files: Annotated[list[Path], typer.Argument(help="Recordings: any format FFmpeg decodes.", show_default=False)],
    model: Model = "mini",
    language: Annotated[str, typer.Option("--language", "-l", help="ISO code such as en, or auto.")] = "en",
    as_json: Json = False,
    greedy: Greedy = False,
    temperature: Temperature = None,
    top_p: TopP = 1.0,
    seed: Seed = None,
    max_new_tokens: MaxNewTokens = 256,
    dtype: Dtype = "auto",
    device: Device = "auto",
    batch_size: BatchSize = 8,
) -> None:
    """Write down what is said in recordings of any length."""
    sampling = _sampling(greedy, temperature, top_p, seed, max_new_tokens)
    assistant = _load(files, model, dtype, device, batch_size)
    _print(assistant.transcribe_each(files, language=language, sampling=sampling), as_json, name_files=len(files) > 1)


def ask(
    question: Annotated[str, typer.Argument(help="What to ask.", show_default=False)],
    files: Annotated[
        list[Path] | None, typer.Argument(help="Recordings; none asks in text.", show_default=False)
    ] = None,
    model: Model = "mini",
    as_json: Json = False,
    greedy: Greedy = False,
    temperature: Temperature = None,
    top_p: TopP = 1.0,
    seed: Seed = None,
    max_new_tokens: MaxNewTokens = 256,
    dtype: Dtype = "auto",
    device: Device = "auto",
    batch_size: BatchSize = 8,
) -> None:
    """Ask about each recording, or ask in text alone."""
    sampling = _sampling(greedy, temperature, top_p, seed, max_new_tokens)
    files = files or []
    assistant = _load(files, model, dtype, device, batch_size)
    if len(files) <= 1 and not as_json:
        for piece in assistant.stream(question, files[0] if files else None, sampling=sampling):
            print(piece, end="", flush=True)
        print()
    elif files:
        _print(assistant.ask_each(question, files, sampling=sampling), as_json, name_files=True)
    else:
        _print(iter([assistant.ask(question, sampling=sampling)]), as_json, name_files=False)


def _sampling(greedy: bool, temperature: float | None, top_p: float, seed: int | None, max_new_tokens: int) -> Sampling:
    if greedy and (temperature or top_p < 1):
        raise UserError("--greedy and --temperature or --top-p contradict each other; give one of them")
    if top_p < 1 and not temperature:
        raise UserError(f"--top-p {top_p} has no effect without sampling; add --temperature, for example 0.7")
    if seed is not None and not temperature:
        raise UserError(f"--seed {seed} has no effect without sampling; add --temperature, for example 0.7")
    return Sampling(temperature=temperature or 0.0, top_p=top_p, max_new_tokens=max_new_tokens, seed=seed)


def _load(files: list[Path], model: str, dtype: str, device: str, batch_size: int) -> "Assistant":
    """Complain about missing files before a model is loaded."""
    for file in files:
        if not os.path.exists(file):
            raise UserError(f"no such file: {file}; check the path")
    import auricle

    return auricle.load(model, dtype=dtype, device=device, batch_size=batch_size)


def _print(results: Iterator["Result"], as_json: bool, *, name_files: bool) -> None:
    for result in results:
        if as_json:
            print(json.dumps(asdict(result), ensure_ascii=False), flush=True)
        else:
            print(f"{result.path}: {result.text}" if name_files else result.text, flush=True)
