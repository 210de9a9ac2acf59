"""`bench`: ours beside transformers on this machine."""

import json
from pathlib import Path
from typing import Annotated

import typer


def bench(
    model: Annotated[str, typer.Option("--model", "-m", help="mini (embedded), a directory, or a hub id.")] = "mini",
    clips: Annotated[
        list[Path] | None,
        typer.Option(exists=True, help="A recording, or a directory of them; may be repeated. None: synthetic ones."),
    ] = None,
    rounds: Annotated[int, typer.Option(help="How often each side runs, in turns, after warming up.")] = 5,
    num_clips: Annotated[int, typer.Option(help="How many recordings are transcribed.")] = 64,
    num_tokens: Annotated[int, typer.Option(help="How many tokens both sides write for each of them.")] = 12,
    batch_sizes: Annotated[str, typer.Option(help="Batch sizes that each side tries.")] = "4,8,16,32,64",
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write every value to this file.")] = None,
    chart: Annotated[Path | None, typer.Option(help="Also draw the ratios: a .svg or .png file.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="mel, encoder, first-token, decode, clips, memory or start; may be repeated."),
    ] = None,
) -> None:
    """Measure speed and memory beside Hugging Face transformers, on the same weights and recordings."""
    from rich.console import Console

    from auricle.bench.chart import draw, require_matplotlib
    from auricle.bench.run import run
    from auricle.bench.settings import Settings, check_place, parse_sizes

    settings = Settings(
        model=model,
        clips=tuple(clips or ()),
        rounds=rounds,
        num_clips=num_clips,
        num_tokens=num_tokens,
        batch_sizes=parse_sizes(batch_sizes),
        only=tuple(only or ()),
    )
    if json_file is not None:
        check_place(json_file)
    if chart is not None:
        check_place(chart, ".svg", ".png")
        require_matplotlib()
    with Console(stderr=True).status("starting") as status:
        report = run(settings, status.update)
    if json_file is not None:
        json_file.write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8")
    if chart is not None:
        draw(report, chart)
    Console().print(report.to_table())
