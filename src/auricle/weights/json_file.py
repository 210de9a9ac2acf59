"""One json file of a checkpoint directory."""

import json
from pathlib import Path
from typing import Any

from auricle.errors import UserError


def read_json(path: Path) -> dict[str, Any]:
    """The object in a json file.

    Raises:
        UserError: there is no such file, it cannot be read, or it holds no json object.
    """
    if not path.exists():
        raise UserError(f"no {path.name} in {path.parent}; expected a checkpoint directory")
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; expected a file that may be read") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}; correct it, or fetch it again") from error
    if not isinstance(contents, dict):
        raise UserError(f"{path} holds a {type(contents).__name__}, expected a JSON object; fetch it again")
    return contents
