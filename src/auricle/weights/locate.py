"""Where a model's files lie: the embedded `mini`, a directory, or a hub id."""

import os
import re
from importlib import resources
from pathlib import Path

from auricle.errors import UserError

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_HUB_FILES = ["*.json", "*.safetensors", "merges.txt", "vocab.json"]


def locate(name: str | Path) -> Path:
    """The checkpoint directory of a model, downloaded first where `name` is a hub id.

    Raises:
        UserError: no such model, or the hub cannot be reached and the model is not in its cache.
    """
    if name == "mini":
        return Path(str(resources.files("auricle") / "assets" / "mini"))
    path = Path(name)
    if os.path.isdir(path):
        return path
    if os.path.exists(path):
        raise UserError(f"model {name} is a file, expected a checkpoint directory; name the directory it lies in")
    if not _HUB_ID.fullmatch(str(name)):
        raise UserError(
            f"unknown model {str(name)!r}: expected mini, a directory, or a hub id such as Qwen/Qwen2-Audio-7B"
        )
    return _download(str(name))


def _download(hub_id: str) -> Path:
    import huggingface_hub  # slow to import and rarely needed
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(huggingface_hub.snapshot_download(hub_id, allow_patterns=_HUB_FILES))
    except RepositoryNotFoundError as error:
        raise UserError(f"no model {hub_id} on the hub and no such directory; check the name") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"cannot download {hub_id}: the hub was not reached and the model is not in the local cache; "
            "connect once, or give a directory"
        ) from error
