"""The quantised form of a checkpoint: packed tensors in the same files, and quantization.json that says which.

quantization.json: {"format": "auricle-packed-1", "tensors": {parameter name: "int8", "int5" or "int4"}}. A packed
parameter P lies in the files as P.codes, P.scale and (below 8 bits) P.offset; everything else is stored as it is.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file

from auricle.errors import UserError
from auricle.quant import Packed, pack_groups, pack_rows, unpack_groups, unpack_rows
from auricle.weights.tensors import INDEX

FORMAT = "auricle-packed-1"
Scheme = Literal["int8", "int5", "int4"]  # rows of 8 bits; groups of 5 or 4
_PACK: dict[str, Callable[[torch.Tensor], Packed]] = {
    "int8": pack_rows,
    "int5": partial(pack_groups, bits=5),
    "int4": partial(pack_groups, bits=4),
}
_UNPACK: dict[str, Callable[[Packed, torch.dtype], torch.Tensor]] = {
    "int8": unpack_rows,
    "int5": partial(unpack_groups, bits=5),
    "int4": partial(unpack_groups, bits=4),
}


def unpack_state(state: dict[str, torch.Tensor], layout: dict[str, Any], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Packed and plain tensors -> the model's parameters in `dtype`.

    Raises:
        UserError: another format or scheme, or a packed tensor without one of its parts.
    """
    if layout.get("format") != FORMAT:
        raise UserError(f"quantization.json has format {layout.get('format')!r}, expected {FORMAT!r}; update auricle")
    state = dict(state)
    for name, scheme in layout.get("tensors", {}).items():
        if scheme not in _UNPACK:
            raise UserError(f"{name} is packed as {scheme!r}, expected int8, int5 or int4; update auricle")
        try:
            codes, scale = state.pop(f"{name}.codes"), state.pop(f"{name}.scale")
            offset = state.pop(f"{name}.offset") if scheme != "int8" else torch.zeros(0, dtype=torch.float16)
        except KeyError as error:
            raise UserError(f"quantization.json names {name} but {error.args[0]} is missing; fetch it again") from error
        state[name] = _UNPACK[scheme](Packed(codes, scale, offset), dtype)
    return state


def write_packed(
    state: dict[str, torch.Tensor], schemes: dict[str, Scheme], directory: Path, *, max_shard_bytes: int
) -> None:
    """Pack the named parameters, store the others as bfloat16, and write shards, their index and quantization.json.

    Args:
        state: every parameter of the model, without a tied head.
        schemes: which parameters are packed, and how.
        directory: gets the files.
        max_shard_bytes: no file's tensors exceed it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    stored: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        if name not in schemes:
            stored[name] = tensor.to(torch.bfloat16).contiguous()
            continue
        packed = _PACK[schemes[name]](tensor)
        stored |= {f"{name}.codes": packed.codes.contiguous(), f"{name}.scale": packed.scale.contiguous()}
        if schemes[name] != "int8":
            stored[f"{name}.offset"] = packed.offset.contiguous()
    _write_shards(stored, directory, max_shard_bytes)
    layout = {"format": FORMAT, "tensors": dict(schemes)}
    (directory / "quantization.json").write_text(json.dumps(layout, indent=1) + "\n")


def _write_shards(tensors: dict[str, torch.Tensor], directory: Path, max_shard_bytes: int) -> None:
    shards: list[dict[str, torch.Tensor]] = [{}]
    room = max_shard_bytes
    for name, tensor in tensors.items():
        if tensor.nbytes > room and shards[-1]:
            shards.append({})
            room = max_shard_bytes
        shards[-1][name] = tensor
        room -= tensor.nbytes
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        file_name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, directory / file_name, metadata={"format": "pt"})
        (directory / file_name).chmod(0o644)
        weight_map |= dict.fromkeys(shard, file_name)
    total = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (directory / INDEX).write_text(json.dumps(index, indent=1) + "\n")
