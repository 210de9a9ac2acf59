"""Requests in, answers out: one small interface, several engines behind it."""

from auricle.engines.interface import Engine, Request
from auricle.engines.native import NativeEngine
from auricle.engines.open import ENGINES, open_engine, open_service
from auricle.engines.service import Service, Session
from auricle.engines.ticket import GivenUpError, Piece, Ticket
from auricle.engines.upstream import UpstreamError

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
    "UpstreamError",
    "open_engine",
    "open_service",
]
