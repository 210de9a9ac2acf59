"""Servers that run elsewhere as one service: which one is asked, what moves to another, and what becomes of answers.

Real vLLM servers answer it in tests/serve/test_vllm_serving.py.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from scripted_server import Server, answer, chunk, serving, streamed, wait_until

from auricle.conversation import Message, RawPrompt, Sampling
from auricle.engines import GivenUpError, Request, Session
from auricle.engines.openai import OpenAIEngine
from auricle.engines.upstream import UpstreamBusyError, UpstreamError, UpstreamService
from auricle.errors import UserError

ASKED = Request((Message("user", ("What is said?",)),))
HELLO = streamed("Hello", ".")


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    with ExitStack() as stack:

        def start(*events: dict[str, Any], owner: str | None = "vllm", port: int = 0) -> Server:
            server = stack.enter_context(serving(owner, port=port))
            server.reply = lambda _: (200, list(events or HELLO))
            return server

        yield start


@pytest.fixture
def upstream() -> Iterator[Callable[..., UpstreamService]]:
    services: list[UpstreamService] = []

    def start(*urls: str | Server, **options: Any) -> UpstreamService:
        addresses = [url if isinstance(url, str) else url.url for url in urls]
        services.append(UpstreamService(addresses, model="audio-7b", **options))
        return services[-1]

    yield start
    for service in services:
        service.close()


def answered(service: UpstreamService, sampling: Sampling = Sampling()) -> str:  # noqa: B008
    return service.submit(ASKED, sampling).answer().text


@pytest.mark.parametrize("owner", ["vllm", "auricle", "openai"])
@pytest.mark.parametrize("end", [{}, {"finish_reason": "length"}, {"stop_reason": "lo"}], ids=str)
@pytest.mark.parametrize("num_top", [None, 1])
def test_an_answer_is_that_of_the_engine(
    owner: str, end: dict[str, Any], num_top: int | None, serve: Callable[..., Server], upstream: Callable[..., Any]
):
    server = serve(*streamed("Hello", ".", **end), owner=owner)
    if owner == "openai" and num_top is None:
        server.reply = lambda _: (
            200,
            [chunk({"content": "Hello."}), chunk({}, **{"finish_reason": "stop"} | end), HELLO[-1]],
        )
    ticket = upstream(server).submit(ASKED, Sampling(logprobs=num_top))
    pieces = list(ticket.pieces())
    server.reply = lambda body: answer(body, **end)
    [expected] = OpenAIEngine(server.url, model="audio-7b").generate([ASKED], Sampling(logprobs=num_top))
    assert repr(ticket.answer()) == repr(expected)  # NaN included
    assert "".join(piece.text for piece in pieces) == "Hello."
    assert sum((piece.tokens for piece in pieces), ()) == expected.tokens
    streamed_body, body = server.bodies
    assert streamed_body == body | {"stream": True, "stream_options": {"include_usage": True}}


def test_tokens_without_text_come_with_the_next_piece(serve: Callable[..., Server], upstream: Callable[..., Any]):
    """A server holds text back that may become a stop text, or half a character."""
    held = [chunk({"content": ""}, tokens=["Hel"]), chunk({"content": "Hello"}, tokens=["lo"])]
    pieces = list(upstream(serve(*held, *HELLO[-2:])).submit(ASKED, Sampling(logprobs=1)).pieces())
    assert [(piece.text, [token.text for token in piece.tokens]) for piece in pieces] == [("Hello", ["Hel", "lo"])]


def test_pieces_come_before_the_answer_is_ready(serve: Callable[..., Server], upstream: Callable[..., Any]):
    server, more = serve(), threading.Event()

    def events() -> Iterator[dict[str, Any]]:
        yield from HELLO[:2]
        more.wait(10)
        yield from HELLO[2:]

    server.reply = lambda _: (200, events())
    ticket = upstream(server).submit(ASKED, Sampling())
    pieces = ticket.pieces()
    assert next(pieces).text == "Hello"
    more.set()
    assert [piece.text for piece in pieces] == ["."]


@pytest.mark.parametrize("num_before", [0, 2], ids=["before the first piece", "in the middle"])
def test_a_client_that_leaves_closes_the_connection_at_once(
    num_before: int, serve: Callable[..., Server], upstream: Callable[..., Any]
):
    server = serve()
    asked = threading.Event()

    def events() -> Iterator[dict[str, Any]]:
        yield from HELLO[:num_before]
        asked.set()
        for _ in range(1000):
            time.sleep(0.02)
            yield chunk({"content": ""})

    server.reply = lambda _: (200, events())
    ticket = upstream(server).submit(ASKED, Sampling())
    assert asked.wait(10)
    assert not server.left.is_set()
    ticket.cancel()
    assert server.left.wait(5)
    with pytest.raises(GivenUpError):
        list(ticket.pieces())
    server.reply = lambda _: (200, HELLO)


def test_requests_go_to_the_server_with_the_fewest(serve: Callable[..., Server], upstream: Callable[..., Any]):
    servers = [serve() for _ in range(3)]
    more = threading.Event()

    def slow(_: Any) -> tuple[int, Any]:
        more.wait(10)
        return 200, HELLO

    for server in servers:
        server.reply = slow
    service = upstream(*servers)
    tickets = [service.submit(ASKED, Sampling()) for _ in range(6)]
    wait_until(lambda: sum(len(server.bodies) for server in servers) == 6)
    assert [len(server.bodies) for server in servers] == [2, 2, 2]
    assert service.num_running == 6
    more.set()
    assert {ticket.answer().text for ticket in tickets} == {"Hello."}
    wait_until(lambda: service.num_running == 0)


@pytest.mark.parametrize("status", [429, 500])
def test_servers_that_are_all_busy_are_told_apart(
    status: int, serve: Callable[..., Server], upstream: Callable[..., Any]
):
    busy = serve()
    service = upstream(busy, pause_s=60)
    busy.reply = lambda _: (status, {"error": {"message": "no"}})
    with pytest.raises(UpstreamError, match="no upstream server answers") as caught:
        answered(service)
    assert isinstance(caught.value, UpstreamBusyError) == (status == 429)


@pytest.mark.parametrize(
    "reply",
    [
        (0, {}),
        (500, {"error": {"message": "out of memory"}}),
        (503, {"error": {"message": "stopping"}}),
        (429, {"error": {"message": "busy"}}),
        (404, {"error": {"message": "no such model"}}),
        (401, {"error": {"message": "bad key"}}),
        (200, HELLO[:1]),
        (200, [{"error": {"message": "the engine died", "code": 500}}]),
    ],
    ids=["gone", "500", "503", "429", "404", "401", "ends early", "error event"],
)
def test_what_fails_before_its_first_piece_goes_to_another_server(
    reply: tuple[int, Any], serve: Callable[..., Server], upstream: Callable[..., Any], caplog: Any
):
    broken, whole = serve(), serve()
    service = upstream(broken, whole, pause_s=60)
    broken.reply = lambda _: reply
    assert [answered(service) for _ in range(3)] == ["Hello."] * 3
    assert len(broken.bodies) == (3 if reply[0] == 429 else 1)  # one that is only busy is asked again
    assert broken.url in caplog.text
    assert ("the stream ended before the answer" in caplog.text) == (reply == (200, HELLO[:1]))


def test_a_refusal_in_a_stream_is_the_clients_and_no_other_server_is_asked(
    serve: Callable[..., Server], upstream: Callable[..., Any]
):
    strict, other = serve(), serve()
    service = upstream(strict, other, pause_s=60)
    strict.reply = other.reply = lambda _: (200, [{"error": {"message": "no such schema", "code": 400}}])
    with pytest.raises(UserError, match=r"the upstream server answered 400 to model .*: no such schema"):
        answered(service)
    assert len(strict.bodies) + len(other.bodies) == 1


def test_a_server_that_was_left_out_is_tried_again(serve: Callable[..., Server], upstream: Callable[..., Any]):
    broken, whole = serve(), serve()
    service = upstream(broken, whole, pause_s=0.2)
    broken.reply = lambda _: (500, {"error": {"message": "broken"}})
    assert answered(service) == "Hello."
    broken.reply = lambda _: (200, HELLO)
    assert answered(service) == "Hello."
    assert (len(broken.bodies), len(whole.bodies)) == (1, 2)
    time.sleep(0.25)
    assert answered(service) == "Hello."
    assert (len(broken.bodies), len(whole.bodies)) == (2, 2)


def test_one_that_breaks_off_in_the_middle_is_not_asked_again(
    serve: Callable[..., Server], upstream: Callable[..., Any]
):
    broken, whole = serve(), serve()

    def events() -> Iterator[dict[str, Any]]:
        yield from HELLO[:2]
        raise ConnectionError

    broken.reply = lambda _: (200, events())
    ticket = upstream(broken, whole).submit(ASKED, Sampling())
    pieces = ticket.pieces()
    assert next(pieces).text == "Hello"
    with pytest.raises(UpstreamError, match="broke off in the middle of its answer"):
        next(pieces)
    assert not whole.bodies


def test_none_left(serve: Callable[..., Server], upstream: Callable[..., Any]):
    """Nothing that the client did wrong: no UserError, and no address of ours."""
    server = serve()
    service = upstream(server, pause_s=60)
    server.reply = lambda _: (503, {"error": {"message": "stopping"}})
    for _ in range(2):
        with pytest.raises(UpstreamError, match=r"^no upstream server answers: status 503$"):
            answered(service)
    server.reply = lambda _: (200, HELLO)
    assert answered(service) == "Hello."  # better than none


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_refusal_keeps_its_sentence_and_moves_nowhere(
    status: int, serve: Callable[..., Server], upstream: Callable[..., Any]
):
    first, second = serve(), serve()
    first.reply = lambda _: (status, {"error": {"message": "max_tokens is too large"}})
    service = upstream(first, second)
    with pytest.raises(UserError, match=f"^the upstream server answered {status} to model 'audio-7b': max_tokens is"):
        answered(service)
    first.reply = lambda _: (200, HELLO)
    assert answered(service) == "Hello."
    assert len(second.bodies) == 0


def test_refusals_are_found_in_the_callers_thread(serve: Callable[..., Server], upstream: Callable[..., Any]):
    service = upstream(serve(owner="openai"))
    with pytest.raises(UserError, match="top_k is no part of OpenAI's API and the upstream server is"):
        service.submit(ASKED, Sampling(0.5, top_k=3))
    with pytest.raises(UserError, match="cannot score given texts"):
        service.score(ASKED, ["a"])


def test_seeded_draws_depend_on_the_place(serve: Callable[..., Server], upstream: Callable[..., Any]):
    server = serve()
    service = upstream(server)
    for index in (0, 1, 0):
        service.submit(ASKED, Sampling(0.7, seed=3), index).answer()
    first, second, third = (body["seed"] for body in server.bodies)
    assert first == third != second


def test_scores(serve: Callable[..., Server], upstream: Callable[..., Any]):
    server = serve()

    def reply(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        ids = [5, 6] if len(body["messages"][0]["content"]) == 1 else [5, 6, 7]
        places = [None, *({str(token): {"logprob": -token / 8}} for token in ids[1:])]
        return 200, answer(body)[1] | {"prompt_token_ids": ids, "prompt_logprobs": places}

    server.reply = reply
    service = upstream(server)
    assert service.score(Request(RawPrompt(("Say:",))), [" a"]) == [-7 / 8]
    server.reply = lambda _: (0, {})
    with pytest.raises(UpstreamError, match="no upstream server answers"):
        service.score(Request(RawPrompt(("Say:",))), [" a"])


def test_a_server_that_is_away_at_the_start_is_found_later(
    serve: Callable[..., Server], upstream: Callable[..., Any], caplog: Any
):
    first = serve()
    with serving() as away:
        port = away.server_port
    service = upstream(f"http://127.0.0.1:{port}/v1", first, pause_s=0.01)
    assert answered(service) == "Hello."
    assert len(first.bodies) == 1
    later = serve(port=port)
    wait_until(lambda: answered(service) and later.bodies)


def test_a_server_of_another_kind_that_comes_later_is_not_asked(
    serve: Callable[..., Server], upstream: Callable[..., Any]
):
    first = serve(owner="auricle")
    with serving() as away:
        port = away.server_port
    service = upstream(first, f"http://127.0.0.1:{port}/v1", pause_s=0.01)
    other = serve(owner="vllm", port=port)
    first.reply = lambda _: (503, {"error": {"message": "stopping"}})
    with pytest.raises(UpstreamError, match="it is of another kind than the other servers"):
        answered(service)
    assert not other.bodies


def test_what_cannot_be_started(serve: Callable[..., Server], upstream: Callable[..., Any]):
    with pytest.raises(UserError, match=r"no answer from http://127\.0\.0\.1:9/v1: .*; is the server running\?"):
        upstream("http://127.0.0.1:9/v1")
    with pytest.raises(UserError, match=r"the upstream servers are of different kinds: http.* vllm, http.* auricle; "):
        upstream(serve(), serve(owner="auricle"))
    with pytest.raises(UserError, match="no model 'mini' at"):
        UpstreamService([serve().url], model="mini")


def test_the_end(serve: Callable[..., Server], upstream: Callable[..., Any]):
    server, more = serve(), threading.Event()

    def slow(_: Any) -> tuple[int, Any]:
        more.wait(10)
        return 0, {}

    server.reply = slow
    service = upstream(server)
    ticket = service.submit(ASKED, Sampling())
    wait_until(lambda: server.bodies)
    service.close()
    more.set()
    with pytest.raises(RuntimeError, match="the engine was closed"):
        ticket.answer()
    with pytest.raises(RuntimeError, match="the engine was closed"):
        service.submit(ASKED, Sampling())
    service.close()


def test_many_clients_at_once(serve: Callable[..., Server], upstream: Callable[..., Any]):
    """Every one gets its own answer."""
    servers = [serve() for _ in range(2)]
    for server in servers:
        server.reply = lambda body: (200, streamed(body["messages"][-1]["content"]))
    service = upstream(*servers)
    assert service.batch_size == 16
    session = Session(service)
    asked = [Request((Message("user", (str(i),)),)) for i in range(40)]
    assert [said.text for said in session.generate(asked, Sampling())] == [str(i) for i in range(40)]


@pytest.mark.parametrize(("told", "context"), [((None, None), None), ((900, None), 900), ((900, 800), 800)])
def test_the_context_is_the_smallest_that_is_told(
    told: tuple[int | None, ...],
    context: int | None,
    serve: Callable[..., Server],
    upstream: Callable[..., UpstreamService],
):
    servers = [serve() for _ in told]
    for server, max_model_len in zip(servers, told, strict=True):
        server.max_model_len = max_model_len
    assert upstream(*servers).max_model_len == context


def test_it_is_healthy_while_any_server_is_in(serve: Callable[..., Server], upstream: Callable[..., UpstreamService]):
    servers = [serve(), serve()]
    service = upstream(*servers, pause_s=0.5)
    assert answered(service) == "Hello."
    servers[0].reply = lambda _: (0, {})
    assert answered(service) == answered(service) == "Hello."
    assert service.healthy
    servers[1].reply = lambda _: (0, {})
    with pytest.raises(UpstreamError, match="no upstream server answers"):
        answered(service)
    assert not service.healthy
    for server in servers:
        server.reply = lambda _: (200, list(HELLO))
    assert answered(service) == "Hello."
    assert service.healthy
