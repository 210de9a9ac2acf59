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

from auricle.errors import UserError
from auricle.quant import GROUP_COLUMNS, Packed, pack_groups, pack_rows, unpack_groups, unpack_rows
from auricle.weights.shards import write_shards

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


def check_layout(layout: dict[str, Any], tensors: dict[str, torch.Tensor]) -> dict[str, Scheme]:
    """quantization.json -> which parameters are packed, and how; every part of them is there.

    Raises:
        UserError: another format or scheme, or a packed tensor without one of its parts.
    """
    if layout.get("format") != FORMAT:
        raise UserError(f"quantization.json has format {layout.get('format')!r}, expected {FORMAT!r}; update auricle")
    schemes = layout.get("tensors", {})
    for name, scheme in schemes.items():
        if scheme not in _UNPACK:
            raise UserError(f"{name} is packed as {scheme!r}, expected int8, int5 or int4; update auricle")
        for part in _parts(scheme):
            if f"{name}.{part}" not in tensors:
                raise UserError(f"quantization.json names {name} but {name}.{part} is missing; fetch it again")
    return schemes


def unpack(tensors: dict[str, torch.Tensor], name: str, scheme: Scheme, dtype: torch.dtype) -> torch.Tensor:
    """One packed parameter in `dtype`."""
    offset = tensors[f"{name}.offset"] if "offset" in _parts(scheme) else torch.zeros(0, dtype=torch.float16)
    return _UNPACK[scheme](Packed(tensors[f"{name}.codes"], tensors[f"{name}.scale"], offset), dtype)


def unpacked_shape(tensors: dict[str, torch.Tensor], name: str) -> torch.Size:
    """[R, C] of a packed parameter: below 8 bits the codes are packed too, but there is one scale per 64 columns."""
    codes, scale = tensors[f"{name}.codes"], tensors[f"{name}.scale"]
    return codes.shape if codes.dtype == torch.int8 else torch.Size((scale.shape[0], scale.shape[1] * GROUP_COLUMNS))


def write_packed(
    state: dict[str, torch.Tensor], schemes: dict[str, Scheme], directory: Path, *, max_shard_bytes: int
) -> None:
    """Pack the named parameters, store the others as bfloat16, and write shards and quantization.json.

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
        if "offset" in _parts(schemes[name]):
            stored[f"{name}.offset"] = packed.offset.contiguous()
    sizes = {name: tensor.nbytes for name, tensor in stored.items()}
    write_shards(sizes, stored.__getitem__, directory, max_shard_bytes=max_shard_bytes)
    layout = {"format": FORMAT, "tensors": dict(schemes)}
    (directory / "quantization.json").write_text(json.dumps(layout, indent=1) + "\n")


def _parts(scheme: Scheme) -> tuple[str, ...]:
    return ("codes", "scale") if scheme == "int8" else ("codes", "scale", "offset")
