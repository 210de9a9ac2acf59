"""Parameters written to safetensors files one shard at a time, so that memory holds one shard and no more."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file

from auricle.weights.tensors import INDEX


def write_shards(
    sizes: dict[str, int], read: Callable[[str], torch.Tensor], directory: Path, *, max_shard_bytes: int
) -> None:
    """model.safetensors, or several files and their index where the tensors need more than one.

    Args:
        sizes: the bytes of each tensor by name, in the order they are written.
        read: gives the tensor of a name when its shard is written.
        directory: gets the files.
        max_shard_bytes: no file's tensors exceed it, unless one tensor does.
    """
    shards = _plan(sizes, max_shard_bytes)
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        file_name = f"model-{number:05d}-of-{len(shards):05d}.safetensors" if len(shards) > 1 else "model.safetensors"
        # built in the call: a name for it would keep the last shard in memory beside the next one
        save_file({name: read(name).contiguous() for name in names}, directory / file_name, metadata={"format": "pt"})
        (directory / file_name).chmod(0o644)
        weight_map |= dict.fromkeys(names, file_name)
    if len(shards) > 1:
        index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": weight_map}
        (directory / INDEX).write_text(json.dumps(index, indent=1) + "\n")


def _plan(sizes: dict[str, int], max_shard_bytes: int) -> list[list[str]]:
    shards: list[list[str]] = [[]]
    room = max_shard_bytes
    for name, num_bytes in sizes.items():
        if num_bytes > room and shards[-1]:
            shards.append([])
            room = max_shard_bytes
        shards[-1].append(name)
        room -= num_bytes
    return shards
