"""Packing tensors into 8 or fewer bits and back. Knows no model and no file."""

from auricle.quant.pack import (
    GROUP_COLUMNS,
    Packed,
    pack_groups,
    pack_rows,
    round_to_groups,
    unpack_groups,
    unpack_rows,
)

__all__ = ["GROUP_COLUMNS", "Packed", "pack_groups", "pack_rows", "round_to_groups", "unpack_groups", "unpack_rows"]
