"""A thread of its own steps a model for all clients: what turns a stepper into a service."""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from auricle.conversation import Sampling
from auricle.engines.interface import Request
from auricle.engines.ticket import Ticket

_LOG = logging.getLogger(__name__)


class Stepper(Protocol):
    """Answers many requests at once, a token each at every step. Only `prepare` may be called from any thread."""

    defaults: Sampling
    batch_size: int

    def prepare(self, request: Request, sampling: Sampling) -> Any:
        """All that can be done without the model: sound to features, text to ids, refusals.

        Raises:
            UserError: it cannot be answered.
        """
        ...

    def add(self, prepared: Any, sampling: Sampling, index: int, ticket: Ticket) -> None:
        """Take a request in; it runs as soon as there is room, in the order of arrival."""
        ...

    def step(self) -> bool:
        """One token for every request that runs, pieces and answers into their tickets; cancelled ones are dropped.

        False where nothing runs and nothing waits.
        """
        ...

    def abandon(self) -> None:
        """Forget every request after an error; their tickets are failed by the caller."""
        ...

    def score(self, request: Request, continuations: Sequence[str]) -> list[float]:
        """As `Engine.score`."""
        ...


class Driver:
    """A stepper as a `Service`. An error of the model fails the requests that ran, and the next ones are answered."""

    def __init__(self, stepper: Stepper) -> None:
        self.stepper = stepper
        self.defaults = stepper.defaults
        self.batch_size = stepper.batch_size
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._tickets: set[Ticket] = set()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="auricle-model", daemon=True)
        self._thread.start()

    def submit(self, request: Request, sampling: Sampling, index: int = 0) -> Ticket:
        """Hand in one request from any thread.

        Raises:
            UserError: it cannot be answered.
        """
        prepared, ticket = self.stepper.prepare(request, sampling), Ticket()

        def add() -> None:
            if not ticket.cancelled:
                self._tickets.add(ticket)
                self.stepper.add(prepared, sampling, index, ticket)

        self._calls.put(add)
        return ticket

    def score(self, request: Request, continuations: Sequence[str]) -> list[float]:
        """As `Engine.score`, between two steps of the others."""
        future: Future[list[float]] = Future()

        def score() -> None:
            try:
                future.set_result(self.stepper.score(request, continuations))
            except Exception as error:
                future.set_exception(error)

        self._calls.put(score)
        return future.result()

    def close(self) -> None:
        """Stop the thread; requests still on their way fail."""
        self._closing = True
        self._calls.put(lambda: None)
        self._thread.join()
        self._fail(RuntimeError("the engine was closed"))

    def _run(self) -> None:
        busy = False
        while not self._closing:
            try:
                self._take(wait=not busy)
                busy = self.stepper.step()
            except Exception as error:
                _LOG.exception("the model failed; the requests that ran are given up")
                self.stepper.abandon()
                self._fail(error)
                busy = False

    def _take(self, *, wait: bool) -> None:
        """All calls that arrived; at least one where nothing else is to be done."""
        try:
            call = self._calls.get(block=wait)
            while True:
                call()
                call = self._calls.get_nowait()
        except Empty:
            return

    def _fail(self, error: Exception) -> None:
        tickets, self._tickets = self._tickets, set()
        for ticket in tickets:
            ticket.fail(error)
