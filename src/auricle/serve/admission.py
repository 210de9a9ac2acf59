"""Who may work now, who waits, and who is sent away."""

import asyncio
from collections import deque

from auricle.serve.errors import ApiError


class Admission:
    """So many requests at once, so many more in the order of arrival; used from the event loop alone."""

    def __init__(self, *, max_concurrency: int, max_queue: int) -> None:
        self._max_concurrency = max_concurrency
        self._max_queue = max_queue
        self._queue: deque[asyncio.Future[None]] = deque()
        self.running = 0
        self.draining = False

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._queue)

    async def enter(self) -> None:
        """Wait for a turn; `leave` gives it back.

        Raises:
            ApiError: 429, too many wait; 503, the server is stopping.
        """
        if self.draining:
            raise ApiError(503, "the server is stopping; try another one, or this one later")
        if self.running < self._max_concurrency:
            self.running += 1
            return
        if len(self._queue) >= self._max_queue:
            raise ApiError(
                429,
                f"the server is busy: {self.running} requests run and {len(self._queue)} wait; try again later",
                code="rate_limit_exceeded",
                headers={"Retry-After": "1"},
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # the turn came while its client left
            else:
                self._queue.remove(turn)
            raise

    def leave(self) -> None:
        """Give the turn to the next who waits."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.running -= 1

    def drain(self) -> None:
        """Let nobody in any more; those who run or wait are finished."""
        self.draining = True
