"""Segments leave for the client as they are ready, while the work on the next ones goes on."""

import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Generic, TypeVar

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from auricle.engines import GivenUpError
from auricle.serve.chat.answer import event
from auricle.serve.visit import EventStream, Visit
from auricle.serve.wire.errors import is_ours, to_api_error

_LOG = logging.getLogger(__name__)
T = TypeVar("T")
_AHEAD = 2  # items that the work may be ahead of whoever takes them


class HandedOver(Iterator[T], Generic[T]):
    """What work in a thread of its own hands over, item by item; it waits where nobody takes them."""

    def __init__(self, work: Callable[[Callable[[T], None]], None]) -> None:
        """Start the work; it is given the function that takes an item, which raises GivenUpError after `close`."""
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work,), name="transcript", daemon=True)
        self._thread.start()

    def __next__(self) -> T:
        """The next item, once it is there; what the work raises comes after the last."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended)
            if self._items:
                self._changed.notify_all()
                return self._items.popleft()
            error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def close(self) -> None:
        """Nobody takes any more."""
        with self._changed:
            self._ended = True
            self._items.clear()
            self._changed.notify_all()

    def _hand(self, item: T) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < _AHEAD or self._ended)
            if self._ended:
                raise GivenUpError
            self._items.append(item)
            self._changed.notify_all()

    def _run(self, work: Callable[[Callable[[T], None]], None]) -> None:
        try:
            work(self._hand)
        except BaseException as error:  # whoever takes the items is told
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class TranscriptStream(EventStream):
    """The events of a transcript; the work on it ends with them, also when the client leaves before."""

    def __init__(self, visit: Visit, request: Request, first: str, following: HandedOver[str]) -> None:
        super().__init__(visit, _events(visit, request, first, following))
        self._following = following

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._following.close()


async def _events(visit: Visit, request: Request, first: str, following: HandedOver[str]) -> AsyncIterator[str]:
    """Every event; an error that comes after the first is one, and the last."""
    yield first
    try:
        async for following_event in visit.stream(lambda: following):
            yield following_event
    except Exception as error:
        if is_ours(error):
            _LOG.error("%s: a stream failed", request.state.request_id, exc_info=error)
        yield event(to_api_error(error).body)
