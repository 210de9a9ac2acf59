"""The names of the numbers that weights are stored in."""

import torch

from auricle.errors import UserError

_NAMES = {"auto": None, "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_stored_dtype(name: str) -> torch.dtype | None:
    """float32, bfloat16 or float16; None for auto, which keeps what the files hold.

    Raises:
        UserError: another name.
    """
    if name not in _NAMES:
        raise UserError(f"unknown dtype {name!r}: expected auto, float32, bfloat16 or float16")
    return _NAMES[name]
