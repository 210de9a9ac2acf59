"""Requests in, answers out: one small interface, several engines behind it."""

from auricle.engines.interface import Engine, Request
from auricle.engines.native import NativeEngine
from auricle.engines.open import ENGINES, open_engine

__all__ = ["ENGINES", "Engine", "NativeEngine", "Request", "open_engine"]
