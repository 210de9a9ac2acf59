"""The app: every route around one gateway."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from auricle import __version__
from auricle.serve import live
from auricle.serve.chat import completions
from auricle.serve.gateway import Gateway
from auricle.serve.guard.limits import add_guards
from auricle.serve.page import mount_page
from auricle.serve.speech import transcriptions
from auricle.serve.status import health, metrics, models
from auricle.serve.status.recorder import Recorder
from auricle.serve.wire.errors import add_error_handlers


def create_app(gateway: Gateway) -> FastAPI:
    """OpenAI's API, live voice and the page around a gateway, which the caller closes."""
    app = FastAPI(
        title="Auricle",
        version=__version__,
        description="Qwen2-Audio behind OpenAI's API.",
        docs_url="/docs",
        redoc_url=None,
        redirect_slashes=False,
    )
    add_error_handlers(app)
    for room in (completions, transcriptions, models, health, live):
        app.include_router(room.routes(gateway))
    app.include_router(metrics.routes(gateway.metrics))
    add_guards(app, gateway.settings, gateway.admission)
    app.add_middleware(Recorder, metrics=gateway.metrics)  # the last one added stands around all others
    _describe(app)
    return mount_page(app, gateway) if gateway.settings.page else app


def _describe(app: FastAPI) -> None:
    """Leave out of the description what FastAPI promises of itself and this server never answers: 422."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            for operations in schema["paths"].values():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
            for name in ("HTTPValidationError", "ValidationError"):
                schema.get("components", {}).get("schemas", {}).pop(name, None)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]
