"""The voice tab: a script of our own that sends the microphone to live voice, and pictures of what was heard."""

import numpy as np
from fastapi import APIRouter, Request, Response
from starlette.responses import HTMLResponse

from auricle import units
from auricle.audio.load import blocks
from auricle.serve import live
from auricle.serve.gateway import Gateway
from auricle.serve.page.assets import asset
from auricle.serve.page.picture import Heard, draw
from auricle.serve.visit import Visit
from auricle.serve.wire.errors import ApiError

VOICE = asset("voice.html").decode()
_RATES_HZ = range(8_000, 48_001)  # as live voice takes


def routes(gateway: Gateway) -> APIRouter:
    """Its scripts, pictures, and live voice behind the page's login instead of the API's key."""
    router = APIRouter(prefix="/page", include_in_schema=False)

    @router.get("/script")
    async def script() -> Response:
        return Response(asset("page.js"), media_type="text/javascript")

    @router.get("/worklet")
    async def worklet() -> Response:
        return Response(asset("worklet.js"), media_type="text/javascript")

    @router.post("/picture")
    async def picture(request: Request, rate: int = 24_000) -> Response:
        """Mono pcm16 at any rate, at most 30 s -> a figure in HTML."""
        if rate not in _RATES_HZ:
            raise ApiError(400, f"a rate lies in {_RATES_HZ[0]} to {_RATES_HZ[-1]} /s: got {rate}", param="rate")
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > 2 * rate * units.WINDOW_S:
                raise ApiError(413, f"a picture shows at most {units.WINDOW_S} s")
        async with await gateway.enter() as visit:
            return HTMLResponse(await _drawn(visit, request, bytes(body), rate))

    router.include_router(live.routes(gateway))
    return router


async def _drawn(visit: Visit, request: Request, body: bytes, rate: int) -> str:
    def work() -> str:
        samples = np.frombuffer(body[: len(body) // 2 * 2], dtype="<i2").astype(np.float32) / 32768
        heard = Heard()
        for _ in heard.follow(blocks((samples, rate))):
            pass
        return draw(heard, "what was heard")

    return await visit.run(request, work)
