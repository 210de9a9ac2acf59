"""Every tensor of a directory's safetensors files, memory-mapped."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from auricle.errors import UserError

INDEX = "model.safetensors.index.json"


def read_tensors(directory: Path) -> dict[str, torch.Tensor]:
    """Name to tensor over all shards.

    Raises:
        UserError: no weights, a shard that the index names is missing, or a file or the index is damaged.
    """
    tensors: dict[str, torch.Tensor] = {}
    for path in _shards(directory):
        try:
            tensors |= load_file(path)
        except FileNotFoundError as error:
            raise UserError(f"{path.name} is missing in {directory} but {INDEX} names it; fetch it again") from error
        except SafetensorError as error:
            raise UserError(f"{path} is damaged: {error}; fetch it again") from error
    return tensors


def _shards(directory: Path) -> list[Path]:
    index = directory / INDEX
    if index.exists():
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{index} is damaged: {error!r}; fetch it again") from error
        return [directory / name for name in sorted(names)]
    if (directory / "model.safetensors").exists():
        return [directory / "model.safetensors"]
    raise UserError(f"no weights in {directory}: expected model.safetensors or {INDEX}")
