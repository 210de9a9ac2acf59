"""/health: whether to send requests here."""

from typing import Literal

from fastapi import APIRouter, Response

from auricle.serve.gateway import Gateway
from auricle.serve.wire.error_schemas import errors
from auricle.serve.wire.schemas import Given


class Health(Given):
    """Whether new requests are taken."""

    status: Literal["ok", "draining"]


def routes(gateway: Gateway) -> APIRouter:
    """Its endpoint."""
    router = APIRouter()

    @router.get(
        "/health",
        summary="Whether to send requests here",
        tags=["server"],
        response_model=Health,
        responses=errors(500) | {503: {"model": Health, "description": "The server is stopping: no more requests."}},
    )
    async def show_health(response: Response) -> Health:
        """200 while requests are taken, 503 once the server is stopping."""
        if gateway.admission.draining:
            response.status_code = 503
            return Health(status="draining")
        return Health(status="ok")

    return router
