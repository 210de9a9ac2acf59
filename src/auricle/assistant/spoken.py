"""A manifest of recordings and what is said in each."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auricle.errors import UserError


@dataclass(frozen=True, slots=True)
class Spoken:
    """One recording and its words."""

    audio: Path
    text: str


def read_spoken(manifest: Path) -> list[Spoken]:
    """`{"audio": path, "text": words}` lines; paths are relative to the manifest's folder, other keys are not read.

    Raises:
        UserError: there is no such file, or a line is something else; the message names it.
    """
    try:
        lines = manifest.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the manifest {manifest}: {error}; check the path") from error
    numbered = [(f"{manifest}:{number}", line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not numbered:
        raise UserError(f"the manifest {manifest} is empty; expected one JSON object a line")
    return [_line(where, line, manifest.parent) for where, line in numbered]


def _line(where: str, line: str, folder: Path) -> Spoken:
    try:
        contents: Any = json.loads(line)
    except ValueError as error:
        raise UserError(
            f'{where} is not valid JSON: {error}; expected {{"audio": path, "text": words}} on one line'
        ) from error
    audio, text = (contents.get(key) if isinstance(contents, dict) else None for key in ("audio", "text"))
    if not isinstance(audio, str) or not isinstance(text, str) or not text.strip():
        raise UserError(f'{where} is {line[:80]}, expected {{"audio": path, "text": words}}')
    return Spoken(folder / audio, text)
