"""A model without memory: names and shapes, to be filled from a checkpoint."""

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from auricle.model.config import Qwen2AudioConfig
from auricle.model.qwen2_audio import Qwen2Audio


def outline(config: Qwen2AudioConfig) -> Qwen2Audio:
    """The model on the meta device, its initialisers skipped: drawing normal numbers there imports 800 modules."""
    with torch.device("meta"), _Uninitialised():
        return Qwen2Audio(config)


class _Uninitialised(TorchFunctionMode):
    """Every function of torch.nn.init hands its tensor back as it is."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))
