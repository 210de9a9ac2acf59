"""A stretch of speech leaves the server as soon as it is ready; work that nobody waits for ends."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import openai
import pytest
from serving import PATIENCE_S, Running, ScriptedService, until
from transcription_fixtures import Turns, hearing_server, multipart, part, spoken, wav

from auricle.audio import Decoded
from auricle.engines import GivenUpError
from auricle.errors import UserError
from auricle.serve.speech.stream import HandedOver

THREE = wav(spoken(3))


@pytest.fixture(scope="module")
def started() -> Iterator[tuple[Running, ScriptedService]]:
    with hearing_server() as both:
        yield both


@pytest.fixture
def turns(started: tuple[Running, ScriptedService]) -> Iterator[Turns]:
    """Every answer of the module's server waits for this test."""
    running, service = started
    service.asked.clear()
    service.tickets.clear()
    service.said = turns = Turns(service)
    yield turns
    turns.let_go()
    until(lambda: running.gateway.admission.running == 0 and service.num_unfinished == 0)


@pytest.fixture
def stream(started: tuple[Running, ScriptedService]) -> Iterator[Callable[..., Any]]:
    with started[0].openai() as client:
        yield lambda **options: client.audio.transcriptions.create(
            **{"file": THREE, "model": "whisper-1", "language": "en", "stream": True, **options}
        )


def test_a_delta_leaves_before_the_next_stretch_is_ready(stream: Callable[..., Any], turns: Turns):
    turns.let_go(0)
    with stream() as events:
        for number in range(3):
            delta = next(events)  # would never come if the server waited: the next answers are not let go
            assert turns.said == set(range(number + 1))
            assert delta.delta.strip() == f"part{number}"
            turns.let_go(number + 1)
        done = next(events)
        assert (done.type, done.text) == ("transcript.text.done", "part0 part1 part2")
        assert next(events, None) is None


def test_a_client_that_leaves_between_two_deltas_takes_the_work_with_it(
    stream: Callable[..., Any], turns: Turns, started: tuple[Running, ScriptedService]
):
    running, service = started
    turns.let_go(0)
    events = stream()
    next(events)
    assert running.gateway.admission.running == 1
    events.close()
    until(lambda: running.gateway.admission.running == 0)
    assert len(service.tickets) == 3
    assert all(ticket.cancelled for ticket in service.tickets)
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "transcript"])
    assert turns.said == {0}


@pytest.mark.parametrize("streamed", ["true", "false"])
def test_a_client_that_leaves_before_anything_is_ready_does_too(
    turns: Turns, started: tuple[Running, ScriptedService], streamed: str
):
    running, service = started
    with posted(running, stream=streamed):
        until(lambda: len(service.tickets) == 3)
        assert running.gateway.admission.running == 1
    until(lambda: running.gateway.admission.running == 0)
    assert all(ticket.cancelled for ticket in service.tickets)
    assert turns.said == set()


@pytest.mark.parametrize("streamed", ["true", "false"])
def test_a_recording_that_never_ends_is_decoded_no_longer_than_its_client_stays(
    started: tuple[Running, ScriptedService], monkeypatch: pytest.MonkeyPatch, streamed: str
):
    running, _ = started
    begun, closed = threading.Event(), threading.Event()

    def silence() -> Iterator[np.ndarray]:
        try:
            while True:
                yield np.zeros(16000, np.float32)
                begun.set()
        finally:
            closed.set()

    monkeypatch.setattr(running.gateway.decoder, "decode", lambda file, name: Decoded(name, silence))
    with posted(running, stream=streamed):
        assert begun.wait(PATIENCE_S)
        assert not closed.is_set()
    assert closed.wait(PATIENCE_S)
    until(lambda: running.gateway.admission.running == 0)


@contextmanager
def posted(running: Running, *, stream: str) -> Iterator[None]:
    """A client that has sent its request whole, and leaves at the end without having read a byte."""
    body = multipart(part("language", "en"), part("stream", stream), part("file", THREE, filename="a.wav"))
    address = running.url.removeprefix("http://")
    head = (
        f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: {address}\r\n"
        f"Content-Type: multipart/form-data; boundary=B\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    host, port = address.split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + body)
        yield


def test_an_error_after_the_first_delta_is_an_event_and_the_last(started: tuple[Running, ScriptedService]):
    running, service = started

    def fail_second(request: Any, sampling: Any) -> list[str]:
        is_first = service.asked[0][0] is request
        service.failure = None if is_first else UserError("the model lost its voice; give it tea")
        return ["one"]

    service.asked.clear()
    service.said = fail_second
    try:
        with running.http() as client:
            said = client.post(
                "/v1/audio/transcriptions", data={"stream": "true", "language": "en"}, files={"file": THREE}
            )
        assert said.status_code == 200
        *deltas, last = [json.loads(line.removeprefix("data: ")) for line in said.text.split("\n\n") if line]
        assert [event["delta"] for event in deltas] == ["one"]
        assert last == {
            "error": {
                "message": "the model lost its voice; give it tea",
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            }
        }
        service.asked.clear()
        with running.openai() as official, pytest.raises(openai.APIError, match="lost its voice"):
            list(official.audio.transcriptions.create(file=THREE, model="x", language="en", stream=True))
    finally:
        service.failure = None


def test_items_are_handed_over_in_order_and_errors_come_after_them():
    def work(hand: Callable[[int], None]) -> None:
        for number in range(100):
            hand(number)
        raise UserError("enough")

    items = HandedOver(work)
    assert [next(items) for _ in range(100)] == list(range(100))
    with pytest.raises(UserError, match="enough"):
        next(items)
    assert next(items, None) is None


def test_the_work_is_never_far_ahead_of_whoever_takes_it():
    handed: list[int] = []

    def work(hand: Callable[[int], None]) -> None:
        for number in range(50):
            hand(number)
            handed.append(number)

    items = HandedOver(work)
    for taken in range(50):
        until(lambda: len(handed) >= min(taken + 2, 50))  # noqa: B023  it is called at once
        assert len(handed) <= taken + 2
        assert next(items) == taken
    assert next(items, None) is None


@pytest.mark.parametrize("where", ["full", "empty"])
def test_closing_ends_the_work_and_wakes_whoever_waits(where: str):
    ended = threading.Event()
    never = threading.Event()

    def work(hand: Callable[[int], None]) -> None:
        try:
            while where == "full":
                hand(0)
            never.wait(PATIENCE_S)
            hand(0)
        except GivenUpError:
            ended.set()
            raise

    items = HandedOver(work)
    taken: list[object] = []
    if where == "empty":
        waiting = threading.Thread(target=lambda: taken.append(next(items, "end")), daemon=True)
        waiting.start()
        items.close()
        waiting.join(PATIENCE_S)
        assert taken == ["end"]
        never.set()
    else:
        next(items)
        items.close()
    assert ended.wait(PATIENCE_S)
