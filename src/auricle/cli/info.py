"""`info`: what a model is made of, read from its files without loading its weights."""

import json
from dataclasses import asdict
from typing import Annotated

import typer


def info(
    model: Annotated[str, typer.Argument(help="mini (embedded), a directory, or a hub id.")] = "mini",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show a model's shape, parameters and files."""
    from auricle.assistant import describe

    facts = asdict(describe(model))
    if as_json:
        print(json.dumps(facts))
        return
    for name, value in facts.items():
        shown = (
            ", ".join(f"{key} {inner}" for key, inner in value.items())
            if isinstance(value, dict)
            else f"{value:,}"
            if isinstance(value, int)
            else value
        )
        print(f"{name.replace('_', ' ')}: {shown}")
