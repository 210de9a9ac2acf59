"""OpenAIEngine against a small server: what it sends, what it makes of the answers, and what it refuses.

A real vLLM server answers it in tests/mini/test_engines_agree.py.
"""

import base64
import json
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from auricle.audio import Waveform, load
from auricle.conversation import Audio, Message, RawPrompt, Sampling, TokenLogprob
from auricle.engines import Request, open_engine
from auricle.engines.openai import OpenAIEngine
from auricle.errors import UserError

Noise = Callable[..., np.ndarray]


class Server(ThreadingHTTPServer):
    """Answers a chat completion with what `reply` makes of its body, and keeps the bodies and the headers."""

    daemon_threads = True

    def __init__(self, owner: str | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.owner = owner
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.reply: Callable[[dict[str, Any]], tuple[int, dict[str, Any] | list[dict[str, Any]]]] = answer
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self.server.owner is None:
            self._send(404, {"error": {"message": "no such path"}})
        else:
            model = {"id": "audio-7b", "object": "model", "created": 0, "owned_by": self.server.owner}
            self._send(200, {"object": "list", "data": [model]})

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.bodies.append(body)
        server.keys.append(self.headers["Authorization"])
        status, reply = server.reply(body)
        self._send(status, reply)

    def _send(self, status: int, reply: dict[str, Any] | list[dict[str, Any]]) -> None:
        if isinstance(reply, list):
            data = "".join(f"data: {json.dumps(event)}\n\n" for event in reply).encode() + b"data: [DONE]\n\n"
        else:
            data = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/event-stream" if isinstance(reply, list) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Silent."""


def answer(body: dict[str, Any], text: str = "Hello.", **choice: Any) -> tuple[int, dict[str, Any]]:
    logprobs = [
        {
            "token": token,
            "logprob": -0.5,
            "bytes": None,
            "top_logprobs": [{"token": "A", "logprob": -0.25, "bytes": None}],
        }
        for token in ("Hello", ".", "<|im_end|>")
    ]
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "stop_reason": None, "message": message} | choice
    choice["logprobs"] = {"content": logprobs, "refusal": None} if body.get("logprobs") else None
    usage = {"prompt_tokens": 40, "completion_tokens": 3, "total_tokens": 43}
    return 200, {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }


@pytest.fixture
def serve() -> Iterator[Callable[[str | None], Server]]:
    servers: list[Server] = []

    def start(owner: str | None = "vllm") -> Server:
        servers.append(Server(owner))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def engine(server: Server, *, model: str = "audio-7b", batch_size: int = 8, api_key: str | None = None) -> OpenAIEngine:
    return OpenAIEngine(server.url, model=model, batch_size=batch_size, api_key=api_key)


def ask(text: str = "What is said?", *audios: Waveform) -> Request:
    return Request((Message("user", (*[Audio()] * len(audios), text)),), audios)


def test_a_conversation_one_to_one(serve: Callable[..., Server], noise: Noise):
    server = serve()
    first, second = Waveform(noise(0.5)), Waveform(noise(0.7, seed=1))
    turns = (
        Message("user", ("Listen: ", Audio(), "And? ", Audio())),
        Message("assistant", ("A bell", ".")),
        Message("user", ("Sure?",)),
    )
    list(engine(server).generate([Request(turns, (first, second))], Sampling()))
    system, user, assistant, last = server.bodies[0]["messages"]
    assert system == {"role": "system", "content": "You are a helpful assistant."}
    assert assistant == {"role": "assistant", "content": "A bell."}
    assert last == {"role": "user", "content": "Sure?"}
    assert [part["type"] for part in user["content"]] == ["text", "input_audio", "text", "input_audio"]
    assert [part["text"] for part in user["content"] if part["type"] == "text"] == ["Listen: ", "And? "]
    sounds = [part["input_audio"] for part in user["content"] if part["type"] == "input_audio"]
    assert {sound["format"] for sound in sounds} == {"wav"}
    for sound, waveform in zip(sounds, (first, second), strict=True):
        assert np.array_equal(load(base64.b64decode(sound["data"])).samples, waveform.samples)


def test_a_system_message_is_not_doubled(serve: Callable[..., Server]):
    server = serve()
    request = Request((Message("system", ("Be brief.",)), Message("user", ("Hi",))))
    list(engine(server).generate([request], Sampling()))
    assert [message["content"] for message in server.bodies[0]["messages"]] == ["Be brief.", "Hi"]


def test_neutral_values_are_said_to_vllm(serve: Callable[..., Server]):
    """Else its generation_config would fill them in: a penalty of 1.1 for the published model."""
    server = serve()
    list(engine(server).generate([ask()], Sampling(max_new_tokens=9)))
    body = server.bodies[0]
    assert {name: body[name] for name in body if name not in {"messages"}} == {
        "model": "audio-7b",
        "max_tokens": 9,
        "temperature": 0.0,
        "top_p": 1.0,
        "logprobs": True,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "min_tokens": 0,
    }


@pytest.mark.parametrize("owner", ["vllm", "auricle"])
def test_settings_reach_servers_that_honour_them(owner: str, serve: Callable[..., Server]):
    server = serve(owner)
    sampling = Sampling(0.7, 20, 0.5, 0.0, 1.1, min_new_tokens=2, max_new_tokens=50, logprobs=3, seed=4)
    list(engine(server).generate([ask(), ask()], sampling))
    wanted = {"temperature": 0.7, "top_k": 20, "top_p": 0.5, "repetition_penalty": 1.1, "min_tokens": 2}
    wanted |= {"max_tokens": 50, "logprobs": True, "top_logprobs": 3}
    seeds = {body["seed"] for body in server.bodies}
    assert all({name: body[name] for name in wanted} == wanted for body in server.bodies)
    assert len(seeds) == 2
    list(engine(server).generate([ask(), ask()], sampling))
    assert {body["seed"] for body in server.bodies} == seeds
    list(engine(server).generate([ask()], Sampling(stop=("a", "b"))))
    assert server.bodies[-1]["stop"] == ["a", "b"]


@pytest.mark.parametrize("owner", ["openai", None])
def test_an_unknown_server_gets_openais_api_and_no_more(owner: str | None, serve: Callable[..., Server]):
    server = serve(owner)
    [said] = engine(server).generate([ask()], Sampling(0.7, top_p=0.9, seed=1))
    assert set(server.bodies[0]) == {"model", "messages", "max_tokens", "temperature", "top_p", "seed", "logprobs"}
    assert server.bodies[0]["logprobs"] is False
    assert math.isnan(said.logprob)
    for name, value in {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1, "min_new_tokens": 1}.items():
        with pytest.raises(UserError, match=f"{name} is no part of OpenAI's API .* got {value}"):
            next(engine(server).generate([ask()], replace(Sampling(0.5), **{name: value})))
    [said] = engine(server).generate([ask()], Sampling(logprobs=1))
    assert said.logprob == -1.5


def test_a_vllm_answer(serve: Callable[..., Server]):
    """vLLM counts the ending token and lists its log-probability; a stop text has no such token."""
    server = serve()
    [said] = engine(server).generate([ask()], Sampling(logprobs=1))
    assert (said.text, said.num_prompt_tokens, said.num_tokens, said.finish_reason) == ("Hello.", 40, 2, "stop")
    assert said.logprob == -1.5
    assert said.tokens == tuple(TokenLogprob(token, -0.5, (("A", -0.25),)) for token in ("Hello", "."))
    for choice in ({"stop_reason": "lo"}, {"finish_reason": "length"}):
        server.reply = lambda body, choice=choice: answer(body, **choice)
        [said] = engine(server).generate([ask()], Sampling(logprobs=1))
        assert (said.num_tokens, len(said.tokens)) == (3, 3)
        assert said.finish_reason == choice.get("finish_reason", "stop")
    [said] = engine(server).generate([ask()], Sampling())
    assert (said.tokens, said.logprob) == ((), -1.5)


def test_answers_keep_their_order_and_requests_go_together(serve: Callable[..., Server]):
    server = serve()

    together = threading.Barrier(4, timeout=30)  # broken, and an error, where fewer are on their way

    def first_comes_last(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        together.wait()
        question = body["messages"][-1]["content"]
        time.sleep(0.2 if question == "0" else 0)
        return answer(body, text=question)

    server.reply = first_comes_last
    texts = [said.text for said in engine(server, batch_size=4).generate((ask(str(i)) for i in range(12)), Sampling())]
    assert texts == [str(i) for i in range(12)]


def test_requests_are_read_a_little_ahead(serve: Callable[..., Server]):
    server, read = serve(), []

    def reading() -> Iterator[Request]:
        for index in range(20):
            read.append(index)
            yield ask()

    answers = engine(server, batch_size=2).generate(reading(), Sampling())
    next(answers)
    assert len(read) == 4
    answers.close()  # type: ignore[attr-defined]
    assert len(server.bodies) <= 4


def test_streaming(serve: Callable[..., Server]):
    server = serve()
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo."}, {}]
    events = [
        {
            "id": "1",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": "m",
            "choices": [{"index": 0, "delta": d}],
        }
        for d in deltas
    ]
    server.reply = lambda _: (200, [*events, events[0] | {"choices": []}])
    assert list(engine(server).stream(ask(), Sampling(logprobs=2))) == ["Hel", "lo."]
    assert server.bodies[0]["stream"] is True
    assert server.bodies[0]["repetition_penalty"] == 1.0


@pytest.mark.parametrize(
    ("sampling", "sentence"),
    [
        (Sampling(num_beams=2), "a server does no beam search: got num_beams 2"),
        (Sampling(0.7, min_p=0.1, top_p=0.9), "vLLM applies min_p before top_p"),
        (Sampling(0.001), "vLLM raises a temperature below 0.01"),
        (Sampling(stop=("a",), min_new_tokens=3), r"no stop text in the first min_new_tokens: got 3 and stop \['a'\]"),
    ],
)
def test_settings_that_mean_something_else_are_refused(sampling: Sampling, sentence: str, serve: Callable[..., Server]):
    server = serve()
    with pytest.raises(UserError, match=sentence):
        next(engine(server).generate([ask()], sampling))
    with pytest.raises(UserError, match=sentence):
        next(engine(server).stream(ask(), sampling))
    assert not server.bodies


def test_requests_that_a_server_would_spoil_are_refused(serve: Callable[..., Server], noise: Noise):
    server = serve()
    long = Waveform(noise(30.01))
    for request, sentence in (
        (
            Request(RawPrompt(("Recognise:",))),
            "takes conversations only, not the raw prompt of a base model; ask a",
        ),
        (ask("?", long), r"may cut a recording at 30 s without a word: got 30\.0 s"),
        (Request((Message("user", (Audio(),)),)), "places for 1 recordings but 0 were given"),
    ):
        answers = engine(server).generate([ask(), request], Sampling())
        assert next(answers).text == "Hello."
        with pytest.raises(UserError, match=sentence):
            next(answers)
    with pytest.raises(UserError, match="cannot score given texts"):
        engine(server).score(ask(), ["a"])
    assert len(server.bodies) == 3
    list(engine(serve("auricle")).generate([ask("?", long)], Sampling()))
    list(engine(server).generate([ask("?", Waveform(noise(30)))], Sampling()))


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (401, {"error": {"message": "bad key"}}, r"refused the key \(401\); set OPENAI_API_KEY"),
        (403, {"error": {"message": "bad key"}}, r"refused the key \(403\)"),
        (404, {"error": {"message": "no model x"}}, "answered 404 to model 'audio-7b': no model x"),
        (400, {"error": {"message": "audio\nbroken"}}, "answered 400 to model 'audio-7b': audio broken"),
        (422, {"detail": "what?"}, "answered 422 to model 'audio-7b'"),
    ],
)
def test_a_servers_errors_are_one_sentence(
    status: int, body: dict[str, Any], sentence: str, serve: Callable[..., Server]
):
    server = serve()
    server.reply = lambda _: (status, body)
    for answers in (engine(server).generate([ask()], Sampling()), engine(server).stream(ask(), Sampling())):
        with pytest.raises(UserError, match=sentence) as raised:
            next(answers)
        assert "\n" not in str(raised.value)


def test_a_busy_server_is_asked_again(serve: Callable[..., Server]):
    server = serve()
    server.reply = lambda body: answer(body) if len(server.bodies) > 1 else (503, {"error": {"message": "busy"}})
    assert next(engine(server).generate([ask()], Sampling())).text == "Hello."
    assert len(server.bodies) == 2


def test_no_server_no_model_no_library(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch):
    server = serve()
    with pytest.raises(UserError, match=r"no model 'mini' at http.*: it serves audio-7b; name one of those"):
        engine(server, model="mini")
    assert engine(serve("auricle"), model="whisper-1").batch_size == 8
    monkeypatch.setattr("openai._constants.INITIAL_RETRY_DELAY", 0.01)
    with pytest.raises(UserError, match=r"no answer from http://127\.0\.0\.1:9/v1: .*; is the server running\?"):
        open_engine("audio-7b", engine="http://127.0.0.1:9/v1")
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(UserError, match=r"run `pip install 'auricle\[openai\]'`"):
        engine(server)


def test_keys(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch):
    server = serve()
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    list(engine(server).generate([ask()], Sampling()))
    list(engine(server, api_key="mine").generate([ask()], Sampling()))
    monkeypatch.setenv("OPENAI_API_KEY", "theirs")
    list(engine(server).generate([ask()], Sampling()))
    assert server.keys == ["Bearer none", "Bearer mine", "Bearer theirs"]
