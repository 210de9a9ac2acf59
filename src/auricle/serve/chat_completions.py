"""/v1/chat/completions."""

from fastapi import APIRouter

from auricle.serve.gateway import Gateway


def routes(gateway: Gateway) -> APIRouter:
    """Its endpoints."""
    return APIRouter()
