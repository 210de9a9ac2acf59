"""Streams: every event as OpenAI sends it, errors in the middle, and clients that leave."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
from serving import Running, ScriptedService, until

from auricle.conversation import TokenLogprob
from auricle.engines import Piece
from auricle.engines.upstream import UpstreamError
from auricle.errors import UserError

ASKED = [{"role": "user", "content": "x"}]
Scripted = Callable[..., tuple[ScriptedService, openai.OpenAI]]


def events(running: Running, **request: Any) -> Iterator[str]:
    """What stands on the line of each event."""
    body = {"messages": ASKED, "stream": True, **request}
    with running.http() as http, http.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["x-request-id"].startswith("req_")
        text = "".join(answer.iter_text())
    assert text.endswith("\n\n")
    for event in text[:-2].split("\n\n"):
        assert event.startswith("data: ")
        yield event.removeprefix("data: ")


def test_events_are_openais(serve: Callable[..., Running]):
    started = serve(ScriptedService(pieces=("Hé", " you")))
    *said, last = events(started, model="m")
    assert last == "[DONE]"
    chunks = [json.loads(one) for one in said]
    assert {(chunk["id"], chunk["object"], chunk["model"], chunk["created"]) for chunk in chunks} == {
        (chunks[0]["id"], "chat.completion.chunk", "m", chunks[0]["created"])
    }
    assert chunks[0]["id"].startswith("chatcmpl-")
    assert abs(chunks[0]["created"] - time.time()) < 60
    [choices] = zip(*(chunk["choices"] for chunk in chunks), strict=True)
    assert [choice["delta"] for choice in choices] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "Hé"},
        {"content": " you"},
        {},
    ]
    assert [choice["finish_reason"] for choice in choices] == [None, None, None, "stop"]
    assert {(choice["index"], choice["logprobs"]) for choice in choices} == {(0, None)}
    assert not any("usage" in chunk for chunk in chunks)


def test_usage_comes_last_where_it_is_asked_for(serve: Callable[..., Running]):
    started = serve(ScriptedService(pieces=("a", "b"), finish_reason="length"))
    *said, last = events(started, stream_options={"include_usage": True})
    *chunks, counted = [json.loads(one) for one in said]
    assert last == "[DONE]"
    assert [chunk["usage"] for chunk in chunks] == [None] * 4
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert counted["choices"] == []
    details = {"audio_tokens": 0, "text_tokens": 7}
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9, "prompt_tokens_details": details}
    assert counted["usage"] == usage


def test_log_probabilities_come_with_their_pieces_even_without_text(serve: Callable[..., Running]):
    """Half a character has a token and no text yet; what cannot be said in JSON is very unlikely instead."""

    class Halves(ScriptedService):
        def _say_pieces(self, request: Any, sampling: Any, ticket: Any) -> None:
            half = TokenLogprob("\ufffd", float("-inf"), (("\ufffd", -0.25), ("e", float("-inf"))))
            ticket.push(Piece("", (half,)))
            ticket.push(Piece("é", (half,)))
            super()._say_pieces(request, sampling, ticket)

    chunks = [json.loads(one) for one in list(events(serve(Halves(pieces=())), logprobs=True, top_logprobs=2))[1:-2]]
    assert [chunk["choices"][0]["delta"]["content"] for chunk in chunks] == ["", "é"]
    unlikely = {"token": "e", "logprob": -9999.0, "bytes": [101]}
    half = {"token": "\ufffd", "logprob": -9999.0, "bytes": None}
    wanted = half | {"top_logprobs": [half | {"logprob": -0.25}, unlikely]}
    assert [chunk["choices"][0]["logprobs"] for chunk in chunks] == [{"content": [wanted], "refusal": None}] * 2


def test_streamed_log_probabilities_are_those_of_the_whole_answer(client: openai.OpenAI):
    asked: dict[str, Any] = {"model": "x", "messages": ASKED, "logprobs": True, "top_logprobs": 2, "max_tokens": 16}
    whole = client.chat.completions.create(**asked).choices[0].logprobs.content
    with client.chat.completions.create(**asked, stream=True) as chunks:
        parts = [chunk.choices[0].logprobs for chunk in chunks]
    said = [token for part in parts if part for token in part.content]
    assert [token.token for token in said] == [token.token for token in whole]
    assert [token.logprob for token in said] == pytest.approx([token.logprob for token in whole], abs=1e-4)
    assert len(said) > 4


@pytest.mark.parametrize(
    ("failure", "kind", "said"),
    [
        (UserError("the moon is too far; go there"), "invalid_request_error", "the moon is too far; go there"),
        (UpstreamError("no upstream server answers"), "server_error", "no upstream server answers"),
        (RuntimeError("secret inside"), "server_error", "the server failed on this request; its log says why"),
    ],
)
def test_an_error_in_the_middle_is_the_last_event(
    serve: Callable[..., Running],
    openai_client: Callable[..., openai.OpenAI],
    caplog: pytest.LogCaptureFixture,
    failure: Exception,
    kind: str,
    said: str,
):
    started = serve(ScriptedService(failure=failure, fail_after=2))
    *before, last = events(started)
    assert len(before) == 3
    assert json.loads(last)["error"]["message"].startswith(said)
    assert json.loads(last)["error"]["type"] == kind
    assert ("secret inside" in caplog.text) == ("secret" in str(failure))
    client = openai_client(started)
    with (
        pytest.raises(openai.APIError, match=said),
        client.chat.completions.create(model="x", messages=ASKED, stream=True) as chunks,
    ):
        for _ in chunks:
            pass
    until(lambda: started.gateway.admission.running == 0)


def test_a_refusal_is_no_stream(scripted: Scripted):
    _, client = scripted(refusal=UserError("the moon is too far; go there"))
    with pytest.raises(openai.BadRequestError, match="the moon is too far"):
        client.chat.completions.create(model="x", messages=ASKED, stream=True)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("held", [True, False])
def test_a_client_that_leaves_takes_its_work_along(serve: Callable[..., Running], stream: bool, held: bool):
    """Whether its answer has begun, or waits for its first word."""
    gate = threading.Event()
    service = ScriptedService(pieces=["word "] * 1000, step_s=0.02, gate=gate if held else None)
    started = serve(service)
    body = {"messages": ASKED, "stream": stream}
    with started.http() as http:
        if stream:
            with http.stream("POST", "/v1/chat/completions", json=body) as answer:
                next(answer.iter_raw())
        else:
            with pytest.raises(httpx.ReadTimeout):
                http.post("/v1/chat/completions", json=body, timeout=0.3)
    until(lambda: service.tickets and service.tickets[0].cancelled, within_s=2)
    until(lambda: service.dropped == service.tickets)
    until(lambda: started.gateway.admission.running == 0)
    until(lambda: b'status="499"' in started.gateway.metrics.text())


def test_a_client_of_the_real_model_that_leaves_takes_its_work_along(server: Running, client: openai.OpenAI):
    driver = server.gateway.service
    endless = {"max_tokens": 2000, "extra_body": {"min_tokens": 2000}}
    with client.chat.completions.create(model="x", messages=ASKED, stream=True, **endless) as chunks:
        for _ in range(3):
            next(chunks)
        assert driver.num_running == 1
    until(lambda: driver.num_running == 0, within_s=5)
    until(lambda: server.gateway.admission.running == 0)


def test_two_streams_flow_side_by_side(serve: Callable[..., Running], openai_client: Callable[..., openai.OpenAI]):
    """Neither waits for the other's end: each is read in turns, while the model waits for its gate."""
    gate = threading.Event()
    gate.set()
    client = openai_client(serve(ScriptedService(pieces=["a"] * 500, step_s=0.01, gate=gate)))
    one, two = (client.chat.completions.create(model="x", messages=ASKED, stream=True) for _ in range(2))
    with one, two:
        for _ in range(3):
            next(one), next(two)
