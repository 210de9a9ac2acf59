"""One json file of a checkpoint directory."""

import json
from pathlib import Path
from typing import Any

from auricle.errors import UserError


def read_json(path: Path) -> dict[str, Any]:
    """The object in a json file.

    Raises:
        UserError: there is no such file, or it holds no json object.
    """
    if not path.exists():
        raise UserError(f"no {path.name} in {path.parent}; expected a checkpoint directory")
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(contents, dict):
        raise UserError(f"{path} holds a {type(contents).__name__}, expected a JSON object; fetch it again")
    return contents
