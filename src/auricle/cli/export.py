"""`export`: a model as a directory that other programs load as it is."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    model: Annotated[str, typer.Argument(help="mini (embedded), a directory, or a hub id.")],
    directory: Annotated[Path, typer.Argument(help="A new directory.")],
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16, float16, or auto: as stored, bfloat16 where quantised.")
    ] = "auto",
    revision: Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit of a hub id.")] = None,
) -> None:
    """Write a model as plain tensors and files that transformers, vLLM and Auricle load."""
    from rich.console import Console

    from auricle.weights import choose_stored_dtype, export_checkpoint, locate

    chosen = choose_stored_dtype(dtype)
    with Console(stderr=True).status(f"writing {directory}"):
        export_checkpoint(locate(model, revision), directory, dtype=chosen)
    print(directory)
