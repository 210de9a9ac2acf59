"""The facade: load a model, transcribe recordings, ask about them."""

from auricle.assistant.describe import ModelInfo, describe
from auricle.assistant.facade import Assistant, Result, load

__all__ = ["Assistant", "ModelInfo", "Result", "describe", "load"]
