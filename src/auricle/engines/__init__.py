"""Requests in, answers out: one small interface, several engines behind it."""

from auricle.engines.interface import Engine, Request
from auricle.engines.native import NativeEngine

__all__ = ["Engine", "NativeEngine", "Request"]
