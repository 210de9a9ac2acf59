"""Where a model's files lie: the embedded `mini`, a directory, or a hub id."""

import errno
import os
import re
from importlib import resources
from pathlib import Path

from auricle.errors import UserError

_HUB_ID = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
_HUB_FILES = [
    "*.json",
    "model.safetensors",
    "model-*.safetensors",
    "merges.txt",
    "*.jinja",
    "README.md",
    "LICENSE*",
    "LICENCE*",
    "NOTICE*",
]
_HUB_FOLDERS = ["*/*"]  # other exports of the same model: original/, onnx/, gguf/
_ENOUGH = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "model.safetensors",
    "model-*.safetensors",
    "model*.json",
]


def locate(name: str | Path, revision: str | None = None) -> Path:
    """The checkpoint directory of a model, downloaded first where `name` is a hub id.

    Args:
        name: `mini`, a directory, or a hub id: `owner/name` or `owner/name@revision`.
        revision: branch, tag or commit of a hub id.

    Raises:
        UserError: no such model or revision, no access to it, no space for it, or the hub cannot be reached and the
            model is not in its cache.
    """
    if name == "mini" or os.path.isdir(name):
        if revision is not None:
            raise UserError(f"revision {revision!r} is for a hub id, but {name} is none; leave it out")
        return Path(name) if name != "mini" else Path(str(resources.files("auricle") / "assets" / "mini"))
    if os.path.exists(name):
        raise UserError(f"model {name} is a file, expected a checkpoint directory; name the directory it lies in")
    match = _HUB_ID.fullmatch(str(name))
    if not match:
        raise UserError(
            f"unknown model {str(name)!r}: expected mini, a directory, or a hub id such as Qwen/Qwen2-Audio-7B"
        )
    hub_id, named = match.groups()
    if revision is not None and named not in (None, revision):
        raise UserError(f"model {name} names revision {named!r}, but revision {revision!r} was asked for; give one")
    return _download(hub_id, revision or named)


def _download(hub_id: str, revision: str | None) -> Path:
    import huggingface_hub  # slow to import and rarely needed
    from huggingface_hub.errors import LocalEntryNotFoundError

    def fetch(patterns: list[str], *, from_cache: bool) -> Path:
        return Path(
            huggingface_hub.snapshot_download(
                hub_id,
                revision=revision,
                allow_patterns=patterns,
                ignore_patterns=_HUB_FOLDERS,
                local_files_only=from_cache,
            )
        )

    try:
        try:
            return fetch(_HUB_FILES, from_cache=False)
        except LocalEntryNotFoundError:  # offline, but another program may have cached what we cannot do without
            return fetch(_ENOUGH, from_cache=True)
    except Exception as error:  # the library's network errors have no common base
        raise UserError(_sentence(error, hub_id, revision)) from error


def _sentence(error: Exception, hub_id: str, revision: str | None) -> str:
    """What went wrong with a download, and what to do."""
    from huggingface_hub import constants, errors

    cache = constants.HF_HUB_CACHE
    if isinstance(error, errors.GatedRepoError):
        return (
            f"{hub_id} asks its users to accept a licence: accept it at {constants.ENDPOINT}/{hub_id}, then log in "
            "with `hf auth login`"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{hub_id} has no revision {revision or 'main'!r} on the hub; expected a branch, tag or commit of it"
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        return (
            f"no model {hub_id} on the hub and no such directory; check the name, or log in with `hf auth login` "
            "where it is private"
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left for {hub_id} in {cache}; free some, or set HF_HOME to another disk"
    why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"asked {constants.ENDPOINT}"
    return (
        f"cannot download {hub_id}: the hub was not reached ({why}) and the model is not whole in the local cache "
        f"{cache}; connect once and run again, or give a directory"
    )
