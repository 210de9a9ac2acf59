"""Engines that many clients share: a service takes requests from any thread, a session is one client's share of it."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from auricle.conversation import Answer, Sampling
from auricle.engines.interface import Request
from auricle.engines.ticket import GivenUpError, Ticket


class Service(Protocol):
    """Answers requests of many threads at once; a setting means the same as in every engine, or is refused.

    defaults: the model's own generation_config.
    batch_size: how many recordings of 30 s it answers at once.
    """

    defaults: Sampling
    batch_size: int

    def submit(self, request: Request, sampling: Sampling, index: int = 0) -> Ticket:
        """Hand in one request; `index` is its place among its client's requests, which seeded draws depend on.

        Raises:
            UserError: it cannot be answered; found in the caller's thread.
        """
        ...

    def score(self, request: Request, continuations: Sequence[str]) -> list[float]:
        """The log-probability of each text as what the model says next (the sum over its tokens, natural log)."""
        ...

    def close(self) -> None:
        """Give the model back; requests still on their way fail."""
        ...


class Session:
    """One client's share of a service: an `Engine` that can be cancelled from another thread.

    At most `num_in_flight` requests of a `generate` are on their way at once, so that a long recording leaves room
    for the other clients.
    """

    def __init__(self, service: Service, *, num_in_flight: int | None = None) -> None:
        self._service = service
        self._num_in_flight = num_in_flight or max(1, service.batch_size // 2)
        self._lock = threading.Lock()
        self._open: set[Ticket] = set()
        self._cancelled = False
        self.defaults = service.defaults
        self.batch_size = service.batch_size

    def submit(self, request: Request, sampling: Sampling, index: int = 0) -> Ticket:
        """Hand in one request; `release` its ticket when it has been read.

        Raises:
            GivenUpError: this session was cancelled.
        """
        self._require_open()
        ticket = self._service.submit(request, sampling, index)
        with self._lock:
            self._open.add(ticket)
        if self._cancelled:  # meanwhile
            ticket.cancel()
        return ticket

    def release(self, ticket: Ticket) -> None:
        """The ticket is read to its end, or given up."""
        ticket.cancel()
        with self._lock:
            self._open.discard(ticket)

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
        """One answer per request, in their order, as they become ready.

        Raises:
            UserError: a request cannot be answered; the answers to those before it come first.
            GivenUpError: this session was cancelled.
        """
        waiting: deque[Ticket] = deque()
        refused: Exception | None = None
        tickets = self._tickets(requests, sampling)
        try:
            while True:
                while refused is None and len(waiting) < self._num_in_flight:
                    try:
                        waiting.append(next(tickets))
                    except StopIteration:
                        break
                    except Exception as error:
                        refused = error
                if not waiting:
                    break
                answer = waiting[0].answer()
                self.release(waiting.popleft())
                yield answer
        finally:
            for ticket in waiting:
                self.release(ticket)
        if refused is not None:
            raise refused

    def stream(self, request: Request, sampling: Sampling) -> Iterator[str]:
        """The pieces of one answer; joined they are its text."""
        ticket = self.submit(request, sampling)
        try:
            for piece in ticket.pieces():
                if piece.text:
                    yield piece.text
        finally:
            self.release(ticket)

    def score(self, request: Request, continuations: Sequence[str]) -> list[float]:
        """The log-probability of each text as what the model says next."""
        self._require_open()
        return self._service.score(request, continuations)

    def cancel(self) -> None:
        """Drop all that is on its way, and refuse whatever comes; from any thread."""
        with self._lock:
            self._cancelled = True
            tickets, self._open = self._open, set()
        for ticket in tickets:
            ticket.cancel()

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for it any more; work beside the engine may look."""
        return self._cancelled

    def _tickets(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Ticket]:
        for index, request in enumerate(requests):
            yield self.submit(request, sampling, index)

    def _require_open(self) -> None:
        if self._cancelled:
            raise GivenUpError
