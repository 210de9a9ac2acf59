"""/health: whether to send requests here."""

from typing import Literal

from fastapi import APIRouter, Response

from auricle.serve.gateway import Gateway
from auricle.serve.wire.error_schemas import errors
from auricle.serve.wire.schemas import Given

_WHY_NOT = "The server is stopping, or its engine failed three times in a row: no more requests."


class Health(Given):
    """Whether new requests are taken and answered."""

    status: Literal["ok", "draining", "failing"]


def routes(gateway: Gateway) -> APIRouter:
    """Its endpoint."""
    router = APIRouter()

    @router.head("/health", include_in_schema=False)
    @router.get(
        "/health",
        summary="Whether to send requests here",
        tags=["server"],
        response_model=Health,
        responses=errors(500) | {503: {"model": Health, "description": _WHY_NOT}},
    )
    async def show_health(response: Response) -> Health:
        """200 while requests are taken and answered; 503 once the server is stopping, or while its engine fails."""
        if gateway.admission.draining:
            response.status_code = 503
            return Health(status="draining")
        if not getattr(gateway.service, "healthy", True):
            response.status_code = 503
            return Health(status="failing")
        return Health(status="ok")

    return router
