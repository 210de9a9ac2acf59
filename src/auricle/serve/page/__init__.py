"""The web page at /: voice chat, analysis, transcription."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI

from auricle.errors import UserError
from auricle.serve.gateway import Gateway
from auricle.serve.page.folder import Folder

_UPLOADS_AT_ONCE = 4  # so many of the largest size are kept, or more that are smaller
T = TypeVar("T")


def mount_page(app: FastAPI, gateway: Gateway) -> FastAPI:
    """The app with the page at /; mount it last.

    Raises:
        UserError: gradio is not installed.
    """
    folder = _uploads()
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    try:
        import gradio  # noqa: F401
    except ImportError:
        raise UserError(
            "the web page needs gradio, which is not installed; pip install 'auricle[serve]', or serve without the page"
        ) from None
    inner = _with_loop(lambda: _build(gateway, folder.path))
    from auricle.serve.page.door import Door, PageMount
    from auricle.serve.page.login import Login
    from auricle.serve.page.streams import Streams

    key = gateway.settings.api_key
    upload_bytes = gateway.settings.max_upload_mb * 10**6

    def make_room(num_bytes: int) -> None:
        folder.make_room(min(num_bytes, upload_bytes), most_bytes=_UPLOADS_AT_ONCE * upload_bytes)

    door = Door(inner, None if key is None else Login(key), Streams(gateway.admission), make_room)
    app.router.routes.append(PageMount("/", door))
    app.router.lifespan_context = _both(app, inner)
    return app


def _build(gateway: Gateway, folder: Path) -> FastAPI:
    import gradio as gr

    from auricle.serve.page import blocks, voice
    from auricle.serve.page.assets import asset, asset_path
    from auricle.serve.wire.errors import add_error_handlers

    page = blocks.build(gateway, folder)
    page.has_launched = True  # else gradio takes any path of this machine for an uploaded file
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    add_error_handlers(app)
    app.include_router(voice.routes(gateway))
    return gr.mount_gradio_app(
        app,
        page,
        path="/",
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        favicon_path=str(asset_path("favicon.png")),
        show_error=False,
        max_file_size=gateway.settings.max_upload_mb * 10**6,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=blocks.theme(),
        css=asset("page.css").decode(),
        head='<meta name="color-scheme" content="light dark"><script defer src="page/script"></script>',
    )


def _with_loop(build: Callable[[], T]) -> T:
    """gradio makes an event loop where none runs, and never closes it."""

    async def built() -> T:
        return build()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(built())
        finally:
            loop.close()
    return build()


@cache
def _uploads() -> Folder:
    """Where gradio keeps uploads: for this process alone, removed at its end.

    gradio reads the variable whenever it checks a path, and would else share /tmp/gradio with every other program.
    """
    folder = Folder()
    os.environ["GRADIO_TEMP_DIR"] = str(folder.path)
    return folder


def _both(outer: FastAPI, inner: FastAPI) -> Any:
    """A mounted app's own beginning and end do not run by themselves."""
    before = outer.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with before(app) as state, inner.router.lifespan_context(inner):
            yield state

    return lifespan
