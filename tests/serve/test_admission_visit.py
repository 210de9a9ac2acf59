"""A visit: what it has begun ends with it, whoever leaves first."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest
from serving import ScriptedService, until
from starlette.requests import HTTPConnection, Request

from auricle.conversation import Message, Sampling
from auricle.engines import GivenUpError
from auricle.engines import Request as Asked
from auricle.serve.gateway import Gateway
from auricle.serve.settings import ServeSettings
from auricle.serve.visit import Visit

ASKED = Asked((Message("user", "hello"),))


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway(ScriptedService(gate=threading.Event()), ServeSettings(page=False, max_concurrency=1, max_queue=1))
    yield made
    made.close()


def client(*, leaves: bool) -> Request:
    async def receive() -> dict[str, Any]:
        if not leaves:
            await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    return Request({"type": "http", "headers": []}, receive)


def during(gateway: Gateway, work: Callable[[Visit], Awaitable[None]]) -> None:
    async def play() -> None:
        async with await gateway.enter() as visit:
            await work(visit)
        assert gateway.admission.running == 0
        visit.leave()
        assert gateway.admission.running == 0  # leaving twice gives nothing back twice

    asyncio.run(play())


def test_a_client_that_leaves_takes_its_work_with_it(gateway: Gateway):
    async def work(visit: Visit) -> None:
        with pytest.raises(GivenUpError):
            await visit.run(client(leaves=True), lambda: visit.session.submit(ASKED, Sampling()).answer())

    during(gateway, work)
    until(lambda: not gateway.service.num_unfinished)  # type: ignore[attr-defined]


def test_work_for_a_websocket_is_not_given_up(gateway: Gateway):
    """Whether it left cannot be asked without taking its messages."""
    socket = HTTPConnection({"type": "websocket", "headers": []})

    async def work(visit: Visit) -> None:
        assert await visit.run(socket, lambda: threading.Event().wait(0.5) or "done") == "done"
        assert visit.session.submit(ASKED, Sampling())

    during(gateway, work)


def test_a_cancelled_request_frees_its_thread(gateway: Gateway):
    async def work(visit: Visit) -> None:
        ended = threading.Event()

        def answer() -> None:
            try:
                visit.session.submit(ASKED, Sampling()).answer()
            finally:
                ended.set()

        with anyio.move_on_after(0.1):
            await visit.run(client(leaves=False), answer)
        assert await anyio.to_thread.run_sync(ended.wait, 5)

    during(gateway, work)


@pytest.mark.parametrize("waits", [False, True])
def test_a_stream_that_nobody_reads_on_is_closed(gateway: Gateway, waits: bool):
    """Between two items, and while it waits for the next one in its thread."""
    closed = threading.Event()

    async def work(visit: Visit) -> None:
        def items() -> Iterator[str]:
            try:
                yield "first"
                if waits:
                    visit.session.submit(ASKED, Sampling()).answer()
                yield "second"
            finally:
                closed.set()

        stream = visit.stream(items)
        assert await anext(stream) == "first"
        if waits:
            with anyio.move_on_after(0.1):
                await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        assert await anyio.to_thread.run_sync(closed.wait, 5)
        with pytest.raises(GivenUpError):
            visit.session.submit(ASKED, Sampling())

    during(gateway, work)


def test_a_stream_read_to_its_end_leaves_the_session_open(gateway: Gateway):
    async def work(visit: Visit) -> None:
        assert [item async for item in visit.stream(lambda: iter(["a", "b"]))] == ["a", "b"]
        assert visit.session.submit(ASKED, Sampling())

    during(gateway, work)


def test_a_visit_that_cannot_begin_gives_its_turn_back(gateway: Gateway, monkeypatch: pytest.MonkeyPatch):
    def broken(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr("auricle.serve.gateway.Visit", broken)
    with pytest.raises(MemoryError):
        asyncio.run(gateway.enter())  # type: ignore[arg-type]
    assert gateway.admission.running == 0
