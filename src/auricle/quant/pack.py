"""Weights in 8 bits a row, or in few bits a group of columns, and back.

Axes: R rows (outputs), C columns (inputs), G groups of columns.
"""

from dataclasses import dataclass

import torch

GROUP_COLUMNS = 64  # columns that share one scale and one offset


@dataclass(frozen=True, slots=True)
class Packed:
    """codes, and the affine map back to numbers: value = code * scale + offset.

    8 bits: codes int8 [R, C], scale float16 [R, 1], offset empty (0 elements).
    fewer: codes uint8 [R, C * bits / 8], scale and offset float16 [R, C / 64].
    """

    codes: torch.Tensor
    scale: torch.Tensor
    offset: torch.Tensor


def pack_rows(weight: torch.Tensor) -> Packed:
    """[R, C] -> symmetric 8-bit codes, one scale a row: the largest magnitude becomes 127."""
    weight = weight.float()
    scale = (weight.abs().amax(dim=1, keepdim=True) / 127).clamp(min=1e-7).half()
    codes = (weight / scale.float()).round().clamp(-127, 127).to(torch.int8)
    return Packed(codes, scale, torch.zeros(0, dtype=torch.float16))


def unpack_rows(packed: Packed, dtype: torch.dtype) -> torch.Tensor:
    """The inverse of `pack_rows`, up to half a step."""
    return (packed.codes.float() * packed.scale.float()).to(dtype)


def pack_groups(weight: torch.Tensor, *, bits: int) -> Packed:
    """[R, C] -> codes of `bits` bits with a scale and an offset per 64 columns; each group's range is kept whole.

    Raises:
        ValueError: C is not a multiple of 64.
    """
    codes_RGC, scale_RG, offset_RG = _quantise(weight, bits)
    return Packed(_pack_bits(codes_RGC.to(torch.uint8).flatten(1), bits), scale_RG, offset_RG)


def unpack_groups(packed: Packed, dtype: torch.dtype, *, bits: int) -> torch.Tensor:
    """The inverse of `pack_groups`, up to half a step."""
    codes_RGC = _unpack_bits(packed.codes, bits).unflatten(1, (-1, GROUP_COLUMNS))
    return _dequantise(codes_RGC.float(), packed.scale, packed.offset).to(dtype)


def round_to_groups(weight: torch.Tensor, *, bits: int) -> torch.Tensor:
    """What `unpack_groups(pack_groups(weight))` gives in float32, without the packing: for training through it."""
    return _dequantise(*_quantise(weight, bits))


def _quantise(weight: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Codes [R, G, 64] as floats, scale and offset float16 [R, G]."""
    if weight.shape[1] % GROUP_COLUMNS:
        raise ValueError(f"groups need a multiple of {GROUP_COLUMNS} columns, got {weight.shape[1]}")
    groups_RGC = weight.float().unflatten(1, (-1, GROUP_COLUMNS))
    low_RG, high_RG = groups_RGC.amin(dim=-1), groups_RGC.amax(dim=-1)
    scale_RG = ((high_RG - low_RG) / (2**bits - 1)).clamp(min=1e-7).half()
    offset_RG = low_RG.half()
    codes_RGC = (groups_RGC - offset_RG.float()[..., None]).div_(scale_RG.float()[..., None])
    return codes_RGC.round_().clamp_(0, 2**bits - 1), scale_RG, offset_RG


def _dequantise(codes_RGC: torch.Tensor, scale_RG: torch.Tensor, offset_RG: torch.Tensor) -> torch.Tensor:
    return torch.addcmul(offset_RG.float()[..., None], codes_RGC, scale_RG.float()[..., None]).flatten(1)


def _pack_bits(codes_RC: torch.Tensor, bits: int) -> torch.Tensor:
    """uint8 codes below 2**bits [R, C] -> bytes [R, C * bits / 8]; eight codes make one word, the first lies lowest.

    Worked example with 4 bits: codes 3, 10 become the byte 3 + 10 * 16 = 163.
    """
    words = (codes_RC.long().unflatten(1, (-1, 8)) << (torch.arange(8, device=codes_RC.device) * bits)).sum(dim=-1)
    return ((words[..., None] >> (torch.arange(bits, device=words.device) * 8)) & 255).to(torch.uint8).flatten(1)


def _unpack_bits(packed_RB: torch.Tensor, bits: int) -> torch.Tensor:
    """The inverse of `_pack_bits`."""
    words = (packed_RB.long().unflatten(1, (-1, bits)) << (torch.arange(bits, device=packed_RB.device) * 8)).sum(dim=-1)
    return (
        ((words[..., None] >> (torch.arange(8, device=words.device) * bits)) & (2**bits - 1)).to(torch.uint8).flatten(1)
    )
