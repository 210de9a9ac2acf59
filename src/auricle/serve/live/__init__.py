"""Live voice over a WebSocket, in the events of OpenAI's Realtime API."""

from fastapi import APIRouter, WebSocket

from auricle.serve.gateway import Gateway
from auricle.serve.live.connection import Connection, Patience
from auricle.serve.live.events import invalid, shown
from auricle.serve.live.schema import RealtimeSession, Session, TranscriptionSession
from auricle.serve.live.session import Given, LiveSession
from auricle.serve.wire.errors import ApiError

_SUBPROTOCOL = "realtime"  # browsers name it, for their key's sake
_PATIENCE = Patience()
_KEPT_BYTES = 2**30  # of the conversations of all connections together, about


def routes(gateway: Gateway) -> APIRouter:
    """Its endpoint, /v1/realtime; `?intent=transcription` begins with a session that only transcribes."""
    router = APIRouter()

    @router.websocket("/v1/realtime")
    async def realtime(websocket: WebSocket) -> None:
        try:
            gateway.admission.require_open()
            if gateway.num_live >= gateway.settings.max_live:
                raise gateway.admission.too_many(f"{gateway.num_live} live connections are open")
            settings = _settings(websocket.query_params.get("intent"))
        except ApiError as error:
            await websocket.send_denial_response(error.response())
            return
        gateway.num_live += 1
        try:
            offered = websocket.scope.get("subprotocols", [])
            await websocket.accept(_SUBPROTOCOL if _SUBPROTOCOL in offered else None)
            share = lambda: _KEPT_BYTES // gateway.num_live  # noqa: E731
            given = Given(gateway.settings.model_name, gateway.service.defaults, most_bytes=share)
            await Connection(websocket, LiveSession(settings, given), gateway, _PATIENCE).run()
        finally:
            gateway.num_live -= 1

    return router


def _settings(intent: str | None) -> Session:
    if intent == "transcription":
        return TranscriptionSession()
    if intent in (None, "conversation"):
        return RealtimeSession()
    raise invalid(f"intent must be transcription, or left out: got {shown(intent)}", param="intent")


__all__ = ["routes"]
