"""The app: every route around one gateway."""

from fastapi import FastAPI

from auricle.serve import chat_completions, live, transcriptions
from auricle.serve.errors import add_error_handlers
from auricle.serve.gateway import Gateway
from auricle.serve.page import mount_page


def create_app(gateway: Gateway) -> FastAPI:
    """OpenAI's API, live voice and the page around a gateway, which the caller closes."""
    app = FastAPI(title="Auricle", description="Qwen2-Audio behind OpenAI's API.", docs_url="/docs", redoc_url=None)
    add_error_handlers(app)
    for room in (chat_completions, transcriptions, live):
        app.include_router(room.routes(gateway))
    return mount_page(app, gateway) if gateway.settings.page else app
