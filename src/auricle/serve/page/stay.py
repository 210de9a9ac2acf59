"""What a person at the page has running: at most one thing in each tab, ended by stop, by starting anew, by leaving."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TypeVar

from auricle.engines import GivenUpError
from auricle.serve.gateway import Gateway
from auricle.serve.visit import Visit
from auricle.serve.wire.errors import is_ours, to_api_error

T = TypeVar("T")
_LOG = logging.getLogger(__name__)


class Stay:
    """A visit that can be stopped from outside. session: the browser's."""

    def __init__(self, visit: Visit, session: str) -> None:
        self.visit = visit
        self.session = session
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End it; whoever reads from it gets GivenUpError. From the event loop."""
        self._stopped.set()
        self.visit.leave()

    def until_stopped(self, items: Iterator[T]) -> Iterator[T]:
        """The same items.

        Raises:
            GivenUpError: it was stopped.
        """
        for item in items:
            if self._stopped.is_set():
                raise GivenUpError
            yield item


class Stays:
    """All stays of one page, by browser session and tab; used from the event loop alone."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._stops: dict[tuple[str, str], Callable[[], object]] = {}

    @asynccontextmanager
    async def stay(self, session: str, tab: str) -> AsyncIterator[Stay]:
        """Wait for a turn and have it; what ran in this tab before is stopped.

        Raises:
            ApiError: the server is busy, or stopping.
            GivenUpError: stopped while it waited.
        """
        self.stop(session, tab)
        place = session, tab
        waiting = asyncio.ensure_future(self._gateway.enter())
        stop: Callable[[], object] = waiting.cancel
        self._stops[place] = stop
        try:
            stay = Stay(await _turn(waiting), session)
            if self._stops.get(place) is stop:
                self._stops[place] = stop = stay.stop
            else:  # stopped in the moment its turn came
                stay.stop()
            try:
                yield stay
            finally:
                stay.stop()
        finally:
            if self._stops.get(place) == stop:
                del self._stops[place]

    def stop(self, session: str, tab: str) -> None:
        """End what runs in one tab, if anything does."""
        stop = self._stops.pop((session, tab), None)
        if stop is not None:
            stop()

    def leave(self, session: str) -> None:
        """The browser's window is closed."""
        for place in [place for place in self._stops if place[0] == session]:
            self.stop(*place)


async def _turn(waiting: "asyncio.Future[Visit]") -> Visit:
    """The visit, when its turn has come.

    Raises:
        GivenUpError: the wait was stopped.
    """
    try:
        await asyncio.wait([waiting])
    except asyncio.CancelledError:  # this task is cancelled, not the wait
        if not waiting.cancel() and not waiting.cancelled() and waiting.exception() is None:
            waiting.result().leave()
        raise
    if waiting.cancelled():
        raise GivenUpError
    return waiting.result()


def sentence(error: Exception) -> str:
    """What went wrong, for the person at the page; what is our fault goes to the log."""
    if isinstance(error, GivenUpError):
        return "Stopped."
    known = to_api_error(error)
    if known.status == 429:
        return "The server is busy. Try again in a moment."
    if is_ours(error):
        _LOG.error("the page could not answer", exc_info=error)
    said = known.message if known.message.endswith((".", "!", "?")) else f"{known.message}."
    return said if "." in said.split(" ", 1)[0] else said[:1].upper() + said[1:]  # a file's name stays as it is
