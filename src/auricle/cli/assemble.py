"""`assemble`: a fresh model from a Whisper and a text model."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer


def assemble(
    out: Annotated[Path, typer.Argument(help="A new directory.")],
    encoder: Annotated[str, typer.Option(help="A Hugging Face Whisper directory, or a hub id.")],
    decoder: Annotated[str, typer.Option(help="A Hugging Face Qwen2 or Llama directory, or a hub id.")],
    projector: Annotated[
        str, typer.Option(help="random, or ridge: fitted in closed form to the recordings of --data.")
    ] = "random",
    data: Annotated[
        Path | None,
        typer.Option(help='For ridge: lines of {"audio": path, "text": words}, paths relative to the file.'),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random projector and the new tokens' embeddings.")] = 0,
    dtype: Annotated[str, typer.Option(help="float32, bfloat16, float16, or auto: the decoder's.")] = "auto",
) -> None:
    """Put a Whisper's encoder before a text model: a model in the published layout, ready to be trained."""
    from rich.console import Console
    from rich.progress import Progress

    from auricle.assistant import assemble as put_together
    from auricle.weights import choose_stored_dtype

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        made = put_together(
            encoder,
            decoder,
            out,
            projector=projector,
            data=data,
            seed=seed,
            dtype=choose_stored_dtype(dtype),
            progress=partial(bar.track, description="listening"),
        )
    if made.explained is not None:
        typer.echo(f"the projector explains {made.explained:.1%} of the embeddings' variance", err=True)
    print(made.directory)
