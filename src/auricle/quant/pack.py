"""Weights in 8 bits a row or 4 bits a group, and back.

Axes: R rows (outputs), C columns (inputs), G groups of columns.
"""

from dataclasses import dataclass

import torch

GROUP_COLUMNS = 64  # columns that share one int4 scale and offset
_SHRINKS = (1.0, 0.95, 0.9, 0.85, 0.8)  # of a group's range, tried in turn


@dataclass(frozen=True, slots=True)
class Packed:
    """codes, and the affine map back to numbers: value = code * scale + offset.

    int8: codes int8 [R, C], scale float16 [R, 1], offset empty (0 elements).
    int4: codes uint8 [R, C/2] (even column in the low half), scale and offset float16 [R, C/64].
    """

    codes: torch.Tensor
    scale: torch.Tensor
    offset: torch.Tensor


def pack_int8(weight: torch.Tensor) -> Packed:
    """[R, C] -> symmetric 8-bit codes, one scale a row: the largest magnitude becomes 127."""
    weight = weight.float()
    scale = (weight.abs().amax(dim=1, keepdim=True) / 127).clamp(min=1e-7).half()
    codes = (weight / scale.float()).round().clamp(-127, 127).to(torch.int8)
    return Packed(codes, scale, torch.zeros(0, dtype=torch.float16))


def unpack_int8(packed: Packed, dtype: torch.dtype) -> torch.Tensor:
    """The inverse of `pack_int8`, up to half a step."""
    return (packed.codes.float() * packed.scale.float()).to(dtype)


def pack_int4(weight: torch.Tensor) -> Packed:
    """[R, C] -> 4-bit codes with scale and offset per 64 columns, the range shrunk to where the squared error is least.

    Raises:
        ValueError: C is not a multiple of 64.
    """
    if weight.shape[1] % GROUP_COLUMNS:
        raise ValueError(f"int4 needs a multiple of {GROUP_COLUMNS} columns, got {weight.shape[1]}")
    groups_RGC = weight.float().unflatten(1, (-1, GROUP_COLUMNS))
    codes, scale, offset = _codes(groups_RGC, _SHRINKS[0])
    least = _squared_error(groups_RGC, codes, scale, offset)
    for shrink in _SHRINKS[1:]:
        tried = _codes(groups_RGC, shrink)
        error = _squared_error(groups_RGC, *tried)
        better = error < least
        least = torch.where(better, error, least)
        codes = torch.where(better[..., None], tried[0], codes)
        scale, offset = torch.where(better, tried[1], scale), torch.where(better, tried[2], offset)
    codes_RC = codes.to(torch.uint8).flatten(1)
    return Packed(codes_RC[:, 0::2] | (codes_RC[:, 1::2] << 4), scale, offset)


def unpack_int4(packed: Packed, dtype: torch.dtype) -> torch.Tensor:
    """The inverse of `pack_int4`, up to half a step inside the kept range."""
    codes_RC = torch.stack((packed.codes & 15, packed.codes >> 4), dim=-1).flatten(1)
    groups_RGC = codes_RC.float().unflatten(1, (-1, GROUP_COLUMNS))
    return (groups_RGC * packed.scale.float()[..., None] + packed.offset.float()[..., None]).flatten(1).to(dtype)


def _codes(groups_RGC: torch.Tensor, shrink: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Codes [R, G, C], scale and offset [R, G] of groups whose range is shrunk about its middle."""
    low, high = groups_RGC.amin(dim=-1), groups_RGC.amax(dim=-1)
    scale = ((high - low) * shrink / 15).clamp(min=1e-7).half()
    offset = ((low + high) / 2 - scale.float() * 7.5).half()
    codes = ((groups_RGC - offset.float()[..., None]) / scale.float()[..., None]).round().clamp(0, 15)
    return codes, scale, offset


def _squared_error(
    groups_RGC: torch.Tensor, codes: torch.Tensor, scale: torch.Tensor, offset: torch.Tensor
) -> torch.Tensor:
    restored = codes * scale.float()[..., None] + offset.float()[..., None]
    return (restored - groups_RGC).square().sum(dim=-1)
