"""Packing tensors into 8 or 4 bits and back. Knows no model and no file."""

from auricle.quant.pack import Packed, pack_int4, pack_int8, unpack_int4, unpack_int8

__all__ = ["Packed", "pack_int4", "pack_int8", "unpack_int4", "unpack_int8"]
