"""Auricle: Qwen2-Audio, complete.

    import auricle
    assistant = auricle.load("mini")
    print(assistant.transcribe("speech.wav").text)

Importing this package loads nothing heavy; `load` brings torch in.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auricle.assistant import Assistant, Result, load
    from auricle.conversation import Sampling
    from auricle.errors import UserError

__version__ = "0.1.0"
__all__ = ["Assistant", "Result", "Sampling", "UserError", "load"]

_ROOMS = {
    "Assistant": "auricle.assistant",
    "Result": "auricle.assistant",
    "load": "auricle.assistant",
    "Sampling": "auricle.conversation",
    "UserError": "auricle.errors",
}


def __getattr__(name: str) -> Any:
    """Fetch a public name from its room on first use."""
    if name not in _ROOMS:
        raise AttributeError(f"module 'auricle' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_ROOMS[name]), name)
