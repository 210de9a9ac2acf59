"""Every tensor of a directory's safetensors files, memory-mapped."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
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
        with _explained(directory, path):
            tensors |= load_file(path)
    return tensors


def read_dtypes(directory: Path) -> list[str]:
    """The kinds of numbers in the weights' files as they name them, such as BF16; only headers are read.

    Raises:
        UserError: as `read_tensors`.
    """
    dtypes: set[str] = set()
    for path in _shards(directory):
        with _explained(directory, path), safe_open(path, framework="pt") as file:
            dtypes |= {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    return sorted(dtypes)


@contextmanager
def _explained(directory: Path, path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{path.name} is missing in {directory} but {INDEX} names it; fetch it again") from error
    except SafetensorError as error:
        raise UserError(f"{path} is damaged: {error}; fetch it again") from error


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
    pickled = any(directory.glob("pytorch_model*.bin*"))
    raise UserError(
        f"no weights in {directory}: expected model.safetensors or {INDEX}"
        f"{', found PyTorch .bin files' if pickled else ''}; convert older .bin files with transformers' "
        "`save_pretrained`, which writes safetensors"
    )
