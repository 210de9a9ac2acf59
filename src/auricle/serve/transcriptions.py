"""/v1/audio/transcriptions and /v1/audio/translations."""

from fastapi import APIRouter

from auricle.serve.gateway import Gateway


def routes(gateway: Gateway) -> APIRouter:
    """Its endpoints."""
    return APIRouter()
