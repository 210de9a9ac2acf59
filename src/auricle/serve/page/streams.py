"""gradio's streams, which a server that stops would wait for: they end when nothing is left to be sent over them."""

import asyncio
import time
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auricle.serve.admission import Admission

_HEARTBEAT = "/gradio_api/heartbeat/"  # open as long as a browser's window; its end ends what the window has running
_ANSWERS = "/gradio_api/queue/data"  # ends by itself after the last answer
_LOOK_S = 0.25
_LAST_WORDS_S = 5.0  # for an answer's end to be sent


class Streams:
    """In a drain, windows are left once no turn is taken or waited for and every answer has been sent."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._num_answers = 0
        self._last_work_s = time.monotonic()

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """One request of the page; any other than a stream as it is."""
        is_answer = scope["path"] == _ANSWERS
        if not is_answer and not scope["path"].startswith(_HEARTBEAT):
            await app(scope, receive, send)
            return
        has_begun = has_ended = False

        async def sending(message: Message) -> None:
            nonlocal has_begun, has_ended
            has_begun = True
            has_ended = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        async def receiving() -> Message:
            while not self._is_over(is_answer):
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S):
                        return await receive()
            return {"type": "http.disconnect"}

        self._num_answers += is_answer
        try:
            await app(scope, receiving, sending)
        finally:
            self._num_answers -= is_answer
        if has_begun and not has_ended and self._is_over(is_answer):
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _is_over(self, is_answer: bool) -> bool:
        admission = self._admission
        if not admission.draining or admission.running or admission.waiting:
            self._last_work_s = time.monotonic()
            return False
        if is_answer:
            return time.monotonic() - self._last_work_s > _LAST_WORDS_S
        return not self._num_answers
