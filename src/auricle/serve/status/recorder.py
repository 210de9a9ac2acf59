"""Around every request: a name for it, its place in the counters, and a last net for errors."""

import logging
import time
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auricle.serve.status.metrics import Metrics
from auricle.serve.wire.errors import CLIENT_LEFT, ApiError

REQUEST_ID = "x-request-id"
_LOG = logging.getLogger(__name__)


class Recorder:
    """Every answer gets an `x-request-id`; an error that nothing else caught is logged under it and answered 500.

    `scope["state"]["request_id"]` tells it to those inside.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{uuid.uuid4().hex}"
        scope.setdefault("state", {})["request_id"] = request_id
        status, start_s = CLIENT_LEFT, time.perf_counter()
        begun = ended = False

        async def send_named(message: Message) -> None:
            nonlocal status, begun, ended
            if message["type"] == "http.response.start":
                begun, status = True, message["status"]
                message["headers"] = [*message.get("headers", ()), (REQUEST_ID.encode(), request_id.encode())]
            ended = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        except Exception as error:
            status = 500
            _LOG.error("%s: %s %s failed", request_id, scope["method"], _route(scope), exc_info=error)
            if begun:
                raise  # half an answer: the connection is closed, so that it cannot be taken for a whole one
            message = f"the server failed on this request; its log says why under {request_id}"
            await ApiError(500, message).response()(scope, receive, send_named)
        finally:
            shown = status if ended or status == 500 else CLIENT_LEFT
            self._metrics.request(scope["method"], _route(scope), shown, time.perf_counter() - start_s)


def _route(scope: Scope) -> str:
    """The template of its address, of which there are few; never the address itself."""
    return str(getattr(scope.get("route"), "path", "") or "other")
