"""/v1/models: the one model this server has."""

import time
from typing import Literal

from fastapi import APIRouter

from auricle.serve.gateway import Gateway
from auricle.serve.wire.error_schemas import errors
from auricle.serve.wire.errors import ApiError
from auricle.serve.wire.schemas import Given, shown


class Model(Given):
    """A model, as OpenAI and vLLM describe one."""

    id: str
    object: Literal["model"] = "model"
    created: int
    """When this server began to serve it, in seconds since 1970."""
    owned_by: Literal["auricle"] = "auricle"
    max_model_len: int | None = None
    """Tokens of a prompt and its answer together, where known."""


class Models(Given):
    """All there are."""

    object: Literal["list"] = "list"
    data: list[Model]


def routes(gateway: Gateway) -> APIRouter:
    """Its endpoints."""
    router = APIRouter(prefix="/v1/models", tags=["models"])
    model = Model(
        id=gateway.settings.model_name, created=int(time.time()), max_model_len=context_tokens(gateway.service)
    )

    @router.get("", summary="The models", response_model_exclude_none=True, responses=errors(500))
    async def list_models() -> Models:
        """One: a request may call it by any name."""
        return Models(data=[model])

    @router.get("/{model_id:path}", summary="One model", response_model_exclude_none=True, responses=errors(404, 500))
    async def show_model(model_id: str) -> Model:
        """The model by its own name."""
        if model_id != model.id:
            raise ApiError(
                404,
                f"no model {shown(model_id)} here, expected {model.id!r}; chats and transcriptions accept any name",
                param="model",
                code="model_not_found",
            )
        return model

    return router


def context_tokens(service: object) -> int | None:
    """Tokens of a prompt and its answer together, where the service tells."""
    found = getattr(service, "max_model_len", None)
    return found if isinstance(found, int) else None
