"""Requests in, answers out: one small interface, several engines behind it."""

from auricle.engines.interface import Engine, Request
from auricle.engines.native import NativeEngine
from auricle.engines.open import ENGINES, open_engine
from auricle.engines.service import Service, Session
from auricle.engines.ticket import GivenUpError, Piece, Ticket

__all__ = [
    "ENGINES",
    "Engine",
    "GivenUpError",
    "NativeEngine",
    "Piece",
    "Request",
    "Service",
    "Session",
    "Ticket",
    "open_engine",
]
