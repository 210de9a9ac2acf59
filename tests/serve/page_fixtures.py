"""The page's handlers without a browser: a gateway around a scripted model, and what a handler yields."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, BinaryIO

import gradio as gr
from serving import ScriptedService

from auricle.audio import Decoded
from auricle.audio.load import blocks
from auricle.serve.gateway import Gateway
from auricle.serve.page.stay import Stays
from auricle.serve.page.uploads import Uploads
from auricle.serve.settings import ServeSettings


class Desk:
    """One gateway and one folder of uploads, for handlers that are called without gradio."""

    def __init__(self, service: ScriptedService, folder: Path, **settings: Any) -> None:
        self.service = service
        self.gateway = Gateway(service, ServeSettings(**settings))
        self.gateway.decoder.decode = _decode_here  # type: ignore[method-assign]
        self.folder = folder
        self.stays = Stays(self.gateway)
        self.uploads = Uploads(self.gateway, folder)

    def run(self, test: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run a test's coroutine; every turn must be given back in the end."""
        try:
            got = asyncio.run(asyncio.wait_for(test(), 20))
            assert self.gateway.admission.running == 0
            assert self.gateway.admission.waiting == 0
            return got
        finally:
            self.gateway.close()


def _decode_here(file: BinaryIO, name: str) -> Decoded:
    """Without the process of its own, which takes seconds to start."""
    return Decoded(name, lambda: blocks(file))


def request(session: str = "one") -> gr.Request:
    """What gradio hands to a handler."""
    return gr.Request(session_hash=session)


async def every(updates: AsyncIterator[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """All that a handler yields."""
    return [update async for update in updates]


def last(updates: list[tuple[Any, ...]], place: int) -> Any:
    """The last value of one output that was not skipped."""
    return next(update[place] for update in reversed(updates) if not _is_skipped(update[place]))


def _is_skipped(value: Any) -> bool:
    return isinstance(value, dict) and value.get("__type__") == "update" and "value" not in value
