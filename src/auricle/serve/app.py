"""The app: every route around one gateway."""

from fastapi import FastAPI

from auricle.serve.errors import add_error_handlers
from auricle.serve.gateway import Gateway


def create_app(gateway: Gateway) -> FastAPI:
    """OpenAI's API, live voice and the page around a gateway, which the caller closes."""
    app = FastAPI(title="Auricle", description="Qwen2-Audio behind OpenAI's API.", docs_url="/docs", redoc_url=None)
    add_error_handlers(app)
    return app
