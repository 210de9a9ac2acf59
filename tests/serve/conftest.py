"""Servers that run while the tests do: a tiny random model, the embedded one, and a scripted one."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import openai
import pytest
import torch
from serving import Running, ScriptedService, native_service, running

from auricle.weights import Checkpoint, locate, read_checkpoint


@pytest.fixture(scope="session")
def server(checkpoint: Checkpoint) -> Iterator[Running]:
    """The tiny random checkpoint, which babbles: fast. Tests that count or close things start a server of their own."""
    with running(native_service(checkpoint), model_name="tiny") as started:
        yield started


@pytest.fixture(scope="session")
def client(server: Running) -> Iterator[openai.OpenAI]:
    """The official client of `server`."""
    with server.openai() as official:
        yield official


@pytest.fixture(scope="session")
def mini_checkpoint() -> Checkpoint:
    """The embedded model in float32 on the CPU."""
    return read_checkpoint(locate("mini", None), dtype=torch.float32, device=torch.device("cpu"))


@pytest.fixture(scope="session")
def mini_server(mini_checkpoint: Checkpoint) -> Iterator[Running]:
    """The embedded model."""
    with running(native_service(mini_checkpoint), model_name="mini") as started:
        yield started


@pytest.fixture(scope="session")
def mini_client(mini_server: Running) -> Iterator[openai.OpenAI]:
    """The official client of `mini_server`."""
    with mini_server.openai() as official:
        yield official


@pytest.fixture
def serve() -> Iterator[Callable[..., Running]]:
    """`serve(service, **settings)`: a server of the test's own, stopped at its end."""
    with ExitStack() as stack:

        def start(service: Any, **settings: Any) -> Running:
            return stack.enter_context(running(service, **settings))

        yield start


@pytest.fixture
def openai_client() -> Iterator[Callable[..., openai.OpenAI]]:
    """`openai_client(running, **options)`: an official client of any server, closed at the test's end."""
    with ExitStack() as stack:
        yield lambda running, **options: stack.enter_context(running.openai(**options))


@pytest.fixture
def scripted(
    serve: Callable[..., Running], openai_client: Callable[..., openai.OpenAI]
) -> Callable[..., tuple[ScriptedService, openai.OpenAI]]:
    """`scripted(pieces=..., settings={...})`: a service that says what it is told, and a client around it."""

    def start(*, settings: dict[str, Any] | None = None, **script: Any) -> tuple[ScriptedService, openai.OpenAI]:
        service = ScriptedService(**script)
        return service, openai_client(serve(service, **(settings or {})))

    return start
