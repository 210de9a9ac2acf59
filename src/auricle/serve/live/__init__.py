"""Live voice over a WebSocket, in the events of OpenAI's Realtime API."""

from fastapi import APIRouter

from auricle.serve.gateway import Gateway


def routes(gateway: Gateway) -> APIRouter:
    """Its endpoints."""
    return APIRouter()
