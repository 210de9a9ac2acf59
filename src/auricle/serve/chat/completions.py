"""/v1/chat/completions."""

import logging
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from auricle.engines import Ticket
from auricle.serve.chat.answer import Reply, event
from auricle.serve.chat.completion import Completion
from auricle.serve.chat.request import read_messages
from auricle.serve.chat.sampling import require_consistent, submit
from auricle.serve.chat.schemas import ChatRequest
from auricle.serve.gateway import Gateway
from auricle.serve.status.counted import num_audio_tokens
from auricle.serve.visit import EventStream, Visit
from auricle.serve.wire.error_schemas import errors
from auricle.serve.wire.errors import is_ours, to_api_error
from auricle.serve.wire.json_body import JsonRoute

_LOG = logging.getLogger(__name__)
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; with `stream`, server-sent events that each hold a chunk of it.",
        "content": {"text/event-stream": {}},  # events are no JSON that a schema could describe
    }
}


def routes(gateway: Gateway) -> APIRouter:
    """Its endpoint."""
    router = APIRouter(prefix="/v1/chat", tags=["chat"], route_class=JsonRoute)

    @router.post("/completions", summary="Continue a conversation", response_model=Completion,
                 responses=_ANSWERS | errors())  # fmt: skip
    async def complete(request: Request, body: ChatRequest) -> Response:
        """The model's answer to a conversation with any number of recordings, whole or streamed."""
        require_consistent(body)
        visit = await gateway.enter(request)
        try:
            return await _answer(gateway, visit, request, body)
        except BaseException:
            visit.leave()
            raise

    return router


async def _answer(gateway: Gateway, visit: Visit, request: Request, body: ChatRequest) -> Response:
    """Every refusal comes before the first byte of an answer."""

    def ask() -> tuple[Ticket, Reply]:
        asked = read_messages(body.messages, gateway, visit.session)
        ticket = submit(visit.session, asked, body)
        reply = Reply(
            model=gateway.settings.model_name if body.model is None else body.model,
            wants_logprobs=bool(body.logprobs),
            wants_usage=bool(body.stream_options and body.stream_options.include_usage),
            num_audio_tokens=sum(map(num_audio_tokens, asked.audios)),
        )
        return ticket, reply

    ticket, reply = await visit.run(request, ask)
    if body.stream:
        return EventStream(visit, _events(visit, ticket, reply, request))
    whole = await visit.run(request, lambda: reply.whole(ticket.answer()))
    visit.leave()
    return JSONResponse(whole)


async def _events(visit: Visit, ticket: Ticket, reply: Reply, request: Request) -> AsyncIterator[str]:
    """The answer's events; an error after their beginning is one more, and the last."""
    try:
        yield reply.first()
        async for piece in visit.stream(ticket.pieces):
            if piece.text or piece.tokens:
                yield reply.piece(piece)
        yield reply.last(ticket.answer())
    except Exception as error:
        if is_ours(error):
            _LOG.error("%s: a stream failed", request.state.request_id, exc_info=error)
        yield event(to_api_error(error).body)
