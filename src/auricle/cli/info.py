"""`info`: what a model is made of, read from its files without loading its weights."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer


def info(
    model: Annotated[str, typer.Argument(help="mini (embedded), a directory, or a hub id.")] = "mini",
    revision: Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit of a hub id.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show a model's shape, parameters, files, and how it wants to be answered with."""
    from auricle.assistant import describe

    facts = asdict(describe(model, revision))
    if as_json:
        print(json.dumps(facts))
        return
    for name, value in facts.items():
        shown = value if name.endswith("_id") else _shown(value)
        print(f"{name.replace('_', ' ')}: {shown}")


def _shown(value: Any) -> str:
    """Counts with separators, lists without brackets."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {inner}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)
