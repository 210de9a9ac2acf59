"""Who may work now, who waits, and who is sent away."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from auricle.engines import GivenUpError
from auricle.serve.wire.errors import ApiError

_FIRST_GUESS_S = 1.0  # between two turns that end, before any did
_NEWEST_SHARE = 0.2  # of the newest interval in their mean
_LONGEST_WAIT_S = 60


class Admission:
    """So many requests at once, so many more in the order of arrival; used from the event loop alone.

    clock: seconds that never run backwards.
    """

    def __init__(self, *, max_concurrency: int, max_queue: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_concurrency = max_concurrency
        self._max_queue = max_queue
        self._queue: deque[asyncio.Future[None]] = deque()
        self._clock = clock
        self._interval_s = _FIRST_GUESS_S
        self._last_turn_s: float | None = None
        self.running = 0
        self.draining = False

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._queue)

    @property
    def retry_after_s(self) -> int:
        """In so many seconds those who wait now will have had their turn, at the pace of the last turns; 1 to 60."""
        return max(1, min(_LONGEST_WAIT_S, math.ceil(self._interval_s * (self.waiting + 1))))

    async def enter(self, gone: Callable[[], Coroutine[Any, Any, None]] | None = None, *, begun: bool = False) -> None:
        """Wait for a turn; `leave` gives it back.

        begun: part of what was let in already, and so finished in a drain.
        gone: ends once the client has left: so does its wait, and the next one may have its place.

        Raises:
            ApiError: 429, too many wait; 503, the server is stopping.
            GivenUpError: the client left.
        """
        if not begun:
            self.require_open()
        if self.running < self._max_concurrency:
            self.running += 1
            return
        if len(self._queue) >= self._max_queue:
            raise self.too_many(f"{self.running} requests run and {len(self._queue)} wait")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        watcher = None if gone is None else asyncio.ensure_future(gone())
        if watcher is not None:
            watcher.add_done_callback(lambda ended: self._give_up(turn, ended))
        try:
            await turn
        except (asyncio.CancelledError, GivenUpError):
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave()  # the turn came while its client left
            self._forget(turn)
            raise
        finally:
            if watcher is not None:
                watcher.cancel()

    def leave(self) -> None:
        """Give the turn to the next who waits."""
        self._note_pace()
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.running -= 1

    def drain(self) -> None:
        """Let nobody in any more; those who run or wait are finished."""
        self.draining = True

    def require_open(self) -> None:
        """Raise ApiError 503 while the server is stopping."""
        if self.draining:
            raise ApiError(
                503,
                "the server is stopping; try another one, or this one later",
                headers={"Retry-After": str(_LONGEST_WAIT_S)},
            )

    def too_many(self, what: str) -> ApiError:
        """429: so much is going on that this one is sent away."""
        return ApiError(
            429,
            f"the server is busy: {what}; try again later",
            code="rate_limit_exceeded",
            headers={"Retry-After": str(self.retry_after_s)},
        )

    def _give_up(self, turn: "asyncio.Future[None]", watcher: "asyncio.Future[None]") -> None:
        """Its client has left, unless the watcher itself was stopped or failed."""
        if not watcher.cancelled() and watcher.exception() is None and not turn.done():
            turn.set_exception(GivenUpError())
            self._forget(turn)

    def _forget(self, turn: "asyncio.Future[None]") -> None:
        with suppress(ValueError):  # `leave` has passed over it already
            self._queue.remove(turn)

    def _note_pace(self) -> None:
        """Turns that end while others wait say how fast the queue moves."""
        now = self._clock()
        if self._queue and self._last_turn_s is not None:
            self._interval_s += _NEWEST_SHARE * (now - self._last_turn_s - self._interval_s)
        self._last_turn_s = now if self._queue else None
