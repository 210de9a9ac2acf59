"""Where a model runs and in which numbers."""

import torch

from auricle.errors import UserError

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def choose_device(name: str) -> torch.device:
    """`auto` is CUDA, else Apple's MPS, else the CPU; any other name is torch's own, such as `cuda:1`.

    Raises:
        UserError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # a device that holds numbers: `meta` does not
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"no device {name!r} here: expected auto, cpu, cuda, cuda:N or mps, as the machine has"
        ) from error
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """`auto` is bfloat16 on CUDA and float32 elsewhere.

    Raises:
        UserError: another name than auto, float32 or bfloat16.
    """
    if name == "auto":
        name = "bfloat16" if device.type == "cuda" else "float32"
    if name not in _DTYPES:
        raise UserError(f"unknown dtype {name!r}: expected auto, float32 or bfloat16")
    return _DTYPES[name]
