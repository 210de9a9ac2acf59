"""A thread of its own steps a model for all clients: what turns a stepper into a service."""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from auricle.conversation import Sampling
from auricle.engines.interface import Request
from auricle.engines.ticket import Ticket
from auricle.errors import UserError

_LOG = logging.getLogger(__name__)
_UNHEALTHY = 3  # errors in a row


class Stepper(Protocol):
    """Answers many requests at once, a token each at every step. Only `prepare` may be called from any thread.

    One that has `num_running`, `num_waiting` and `cache_stats()` is asked for them by `Driver`, from any thread; one
    that tells its tickets of its errors itself has `num_failed`: how often in a row it failed.
    """

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


@dataclass(frozen=True, slots=True)
class _Call:
    """Something for the model's thread; `fail` where it cannot be done any more."""

    run: Callable[[], None]
    fail: Callable[[Exception], None]


class Driver:
    """A stepper as a `Service`. An error of the model fails the requests that ran, and the next ones are answered."""

    def __init__(self, stepper: Stepper) -> None:
        self.stepper = stepper
        self.defaults = stepper.defaults
        self.batch_size = stepper.batch_size
        self._calls: SimpleQueue[_Call] = SimpleQueue()
        self._tickets: set[Ticket] = set()  # of the model's thread alone
        self._closed = False
        self._num_failed = 0  # steps, requests taken in and scores, since a step was done
        self._lock = threading.Lock()  # nothing is handed in after `close` emptied the queue
        self._thread = threading.Thread(target=self._run, name="auricle-model", daemon=True)
        self._thread.start()

    def submit(self, request: Request, sampling: Sampling, index: int = 0) -> Ticket:
        """Hand in one request from any thread.

        Raises:
            UserError: it cannot be answered.
            RuntimeError: the driver is closed.
        """
        self._require_open()
        prepared, ticket = self.stepper.prepare(request, sampling), Ticket()

        def add() -> None:
            if not ticket.cancelled:
                self._tickets.add(ticket)
                self.stepper.add(prepared, sampling, index, ticket)

        self._call(_Call(add, ticket.fail))
        return ticket

    def score(self, request: Request, continuations: Sequence[str]) -> list[float]:
        """As `Engine.score`, between two steps of the others.

        Raises:
            UserError: it cannot be scored.
            RuntimeError: the driver is closed, or was meanwhile.
        """
        future: Future[list[float]] = Future()

        def score() -> None:
            future.set_result(self.stepper.score(request, continuations))

        self._call(_Call(score, future.set_exception))
        return future.result()

    @property
    def num_running(self) -> int:
        """Requests that are being answered."""
        return getattr(self.stepper, "num_running", 0)

    @property
    def num_waiting(self) -> int:
        """Requests that wait for room."""
        return self._calls.qsize() + getattr(self.stepper, "num_waiting", 0)

    @property
    def healthy(self) -> bool:
        """Whether the model works: false once it failed three times without a step between that it could do."""
        return max(self._num_failed, getattr(self.stepper, "num_failed", 0)) < _UNHEALTHY

    @property
    def max_model_len(self) -> int | None:
        """Tokens of a prompt and its answer together, where the stepper tells."""
        return getattr(self.stepper, "max_model_len", None)

    def cache_stats(self) -> dict[str, float]:
        """Counters of what the stepper remembers, by name; empty where it remembers nothing."""
        stats: Callable[[], dict[str, float]] = getattr(self.stepper, "cache_stats", dict)
        return stats()

    def close(self) -> None:
        """Stop the thread; requests still on their way fail. A second call changes nothing."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._calls.put(_Call(lambda: None, lambda error: None))  # wakes the thread
        self._thread.join()

    def _call(self, call: _Call) -> None:
        with self._lock:
            self._require_open()
            self._calls.put(call)

    def _require_open(self) -> None:
        if self._closed:
            raise _closed_error()

    def _run(self) -> None:
        busy = False
        while not self._closed:
            try:
                self._take(wait=not busy)
                works = any(not ticket.done for ticket in self._tickets)
                busy = not self._closed and self.stepper.step()
                self._num_failed *= not works
            except Exception as error:
                _LOG.exception("the model failed; the requests that ran are given up")
                self._num_failed += 1
                self._give_up(error)
                busy = False
            self._tickets = {ticket for ticket in self._tickets if not ticket.done and not ticket.cancelled}
        self._give_up(_closed_error())
        while not self._calls.empty():
            self._calls.get().fail(_closed_error())

    def _take(self, *, wait: bool) -> None:
        """All calls that arrived; at least one where nothing else is to be done."""
        try:
            call = self._calls.get(block=wait)
            while True:
                try:
                    call.run()
                except Exception as error:
                    self._num_failed += not isinstance(error, UserError)
                    call.fail(error)
                call = self._calls.get_nowait()
        except Empty:
            return

    def _give_up(self, error: Exception) -> None:
        """All requests that were taken in fail."""
        tickets, self._tickets = self._tickets, set()
        for ticket in tickets:
            ticket.fail(error)
        try:
            self.stepper.abandon()
        except Exception:
            _LOG.exception("the model's requests could not be given up")


def _closed_error() -> RuntimeError:
    return RuntimeError("the engine was closed")
