"""What one client sent and nobody has taken yet. It is always read, so that its pings are answered and its end seen."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

_MOST_MESSAGES = 8  # that wait while they are taken one by one
_MOST_BYTES = 2**22  # that wait: a minute of PCM16 at 24 kHz in base64


class Inbox:
    """Messages in their order.

    gone: the client left; what it sent before is of no use any more.
    num_dropped: messages for which there was no room, since the session fell behind.
    last_s: when the last one came (time.monotonic).
    """

    def __init__(
        self,
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        is_behind: Callable[[], bool],
        on_news: Callable[[], None],
    ) -> None:
        self._receive = receive
        self._is_behind = is_behind
        self._on_news = on_news
        self._messages: deque[str | bytes] = deque()
        self._num_bytes = 0
        self._changed = asyncio.Event()
        self.gone = False
        self.num_dropped = 0
        self.last_s = time.monotonic()

    def __len__(self) -> int:
        return len(self._messages)

    async def read(self) -> None:
        """Until the client leaves. A fast client waits for one that is taken; while the session is behind, what it
        sends beyond a budget is dropped.
        """
        while not self.gone:
            got = await self._receive()
            self.last_s = time.monotonic()
            if got["type"] == "websocket.disconnect":
                self.gone = True
            else:
                text, data = got.get("text"), got.get("bytes")
                await self._put(data if text is None else text)
            self._on_news()

    def take(self) -> str | bytes:
        """The next message."""
        message = self._messages.popleft()
        self._num_bytes -= len(message)
        return message

    def look_again(self) -> None:
        """There may be room now, or the session may have fallen behind."""
        self._changed.set()

    async def _put(self, message: Any) -> None:
        while not self._is_behind() and (len(self) >= _MOST_MESSAGES or self._is_too_much(message)):
            self._changed.clear()
            await self._changed.wait()
        if self._is_too_much(message):
            self.num_dropped += 1
        else:
            self._messages.append(message)
            self._num_bytes += len(message)

    def _is_too_much(self, message: Any) -> bool:
        return bool(self._messages) and self._num_bytes + len(message) > _MOST_BYTES
