"""A server in a thread of this process, and a model that says what a test tells it to."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import openai
import uvicorn

from auricle.conversation import Answer, Sampling, TokenLogprob
from auricle.engines import NativeEngine, Piece, Request, Service, Ticket
from auricle.engines.driver import Driver
from auricle.engines.native_stepper import NativeStepper
from auricle.serve.app import create_app
from auricle.serve.gateway import Gateway
from auricle.serve.settings import ServeSettings
from auricle.weights import Checkpoint

PATIENCE_S = 20.0  # no test waits longer for something that should happen at once


@dataclass(frozen=True)
class Running:
    """A server that listens.

    url: without the path, such as http://127.0.0.1:40123.
    """

    url: str
    gateway: Gateway
    server: uvicorn.Server

    def openai(self, **options: Any) -> openai.OpenAI:
        """The official client, which tries nothing twice unless told to; close it, or let `openai_client` do so."""
        return openai.OpenAI(**{"base_url": f"{self.url}/v1", "api_key": "none", "max_retries": 0, **options})

    def http(self, **options: Any) -> httpx.Client:
        """Plain requests; close it."""
        return httpx.Client(**{"base_url": self.url, "timeout": PATIENCE_S, **options})


@contextmanager
def running(service: Service, **settings: Any) -> Iterator[Running]:
    """A server around a service on a free port, by default without the page; the service is closed at the end."""
    gateway = Gateway(service, ServeSettings(**{"page": False, **settings}))
    server = uvicorn.Server(uvicorn.Config(create_app(gateway), log_level="error", lifespan="on"))
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        yield Running(f"http://127.0.0.1:{listening.getsockname()[1]}", gateway, server)
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        listening.close()
        gateway.close()


def native_service(checkpoint: Checkpoint, *, batch_size: int = 8) -> Driver:
    """Our own model behind the interface that the gateway asks."""
    return Driver(NativeStepper(NativeEngine(checkpoint, batch_size=batch_size)))


def until(happened: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
    """Wait for what other threads do."""
    deadline = time.monotonic() + within_s
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within_s} s")
        time.sleep(0.005)


@dataclass
class ScriptedService:
    """Says its pieces one by one, each as a token, to whatever it is asked.

    step_s: this long before every piece.
    gate: no piece comes before it is set; None waits for nothing.
    refusal: raised by `submit`.
    failure: fails the ticket after `fail_after` pieces.
    said: what is heard from a request instead of `pieces`.
    asked: all requests so far. tickets: theirs, in the same order.
    """

    pieces: Sequence[str] = ("Hello", ",", " world", ".")
    step_s: float = 0.0
    gate: threading.Event | None = None
    refusal: Exception | None = None
    failure: Exception | None = None
    fail_after: int = 0
    finish_reason: Any = "stop"
    said: Callable[[Request, Sampling], Sequence[str]] | None = None
    scores: Callable[[Request, Sequence[str]], list[float]] | None = None
    defaults: Sampling = field(default_factory=Sampling)
    batch_size: int = 8
    asked: list[tuple[Request, Sampling]] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)
    dropped: list[Ticket] = field(default_factory=list)
    closed: bool = False

    def submit(self, request: Request, sampling: Sampling, index: int = 0) -> Ticket:
        """Start saying it in a thread."""
        if self.refusal is not None:
            raise self.refusal
        ticket = Ticket()
        self.asked.append((request, sampling))
        self.tickets.append(ticket)
        threading.Thread(target=self._say, args=(request, sampling, ticket), daemon=True).start()
        return ticket

    def score(self, request: Request, continuations: Sequence[str]) -> list[float]:
        """The script's, or all alike."""
        return self.scores(request, continuations) if self.scores else [-1.0] * len(continuations)

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    @property
    def num_unfinished(self) -> int:
        """Requests that are neither answered nor dropped: 0 once nobody is waited for."""
        return len([ticket for ticket in self.tickets if not getattr(ticket, "said", False)])

    def _say(self, request: Request, sampling: Sampling, ticket: Ticket) -> None:
        try:
            self._say_pieces(request, sampling, ticket)
        finally:
            ticket.said = True  # type: ignore[attr-defined]

    def _say_pieces(self, request: Request, sampling: Sampling, ticket: Ticket) -> None:
        pieces = self.pieces if self.said is None else self.said(request, sampling)
        tokens: list[TokenLogprob] = []
        for number, text in enumerate(pieces):
            while self.gate is not None and not self.gate.wait(0.005) and not ticket.cancelled:
                pass
            time.sleep(self.step_s)
            if ticket.cancelled:
                self.dropped.append(ticket)
                return
            if self.failure is not None and number == self.fail_after:
                ticket.fail(self.failure)
                return
            token = TokenLogprob(text, -0.5, ((text, -0.5), ("else", -1.5))[: sampling.logprobs or 0])
            tokens.append(token)
            ticket.push(Piece(text, () if sampling.logprobs is None else (token,)))
        reported = () if sampling.logprobs is None else tuple(tokens)
        text, num = "".join(pieces), len(tokens)
        ticket.finish(Answer(text, 7, num, self.finish_reason, -0.5 * num, reported))
