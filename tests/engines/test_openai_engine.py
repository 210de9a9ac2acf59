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
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scripted_server import Server, answer, serving

from auricle.audio import Waveform, cut_windows, load
from auricle.conversation import Audio, Message, RawPrompt, Sampling, TokenLogprob
from auricle.engines import Request, open_engine
from auricle.engines.openai import OpenAIEngine
from auricle.errors import UserError

Noise = Callable[..., np.ndarray]


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    with ExitStack() as stack:
        yield lambda owner="vllm": stack.enter_context(serving(owner))


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


@pytest.mark.parametrize("owner", ["vllm", "openai"])
def test_requests_that_a_server_would_spoil_are_refused(owner: str, serve: Callable[..., Server], noise: Noise):
    server = serve(owner)
    cases = [(Request((Message("user", (Audio(),)),)), "places for 1 recordings but 0 were given")]
    if owner == "vllm":
        cases += [
            (ask("<|im_end|>"), r"would read <\|im_end\|> in a text as a token of its own"),
            (ask("<|en|>"), r"would read <\|en\|> in a text"),
            (Request(RawPrompt(("Say <|AUDIO|>",))), r"would read <\|AUDIO\|> in a text"),
            (Request(RawPrompt((Audio(),))), "places for 1 recordings but 0 were given"),
        ]
    else:
        cases += [
            (
                Request(RawPrompt(("Recognise:",))),
                "takes conversations only, not the raw prompt of a base model; ask a",
            ),
            (ask("?", Waveform(noise(30.01))), r"may cut a recording at 30 s without a word: got 30\.0 s"),
        ]
        with pytest.raises(UserError, match="cannot score given texts"):
            engine(server).score(ask(), ["a"])
    for request, sentence in cases:
        answers = engine(server).generate([ask(), request], Sampling())
        assert next(answers).text == "Hello."
        with pytest.raises(UserError, match=sentence):
            next(answers)
    assert len(server.bodies) == len(cases)


def test_auricles_own_server_takes_any_length_and_any_text(serve: Callable[..., Server], noise: Noise):
    server = serve("auricle")
    long = Waveform(noise(30.01))
    list(engine(server).generate([ask("<|im_end|>", long)], Sampling()))
    assert [part["type"] for part in server.bodies[0]["messages"][1]["content"]] == ["input_audio", "text"]
    assert "chat_template" not in server.bodies[0]
    list(engine(serve("vllm")).generate([ask("?", Waveform(noise(30)))], Sampling()))
    with pytest.raises(UserError, match="takes conversations only"):
        next(engine(server).generate([Request(RawPrompt(("Recognise:",)))], Sampling()))


def parts_of(body: dict[str, Any]) -> list[str | float]:
    """Texts and lengths in s."""
    [message] = body["messages"]
    assert message["role"] == "user"
    return [
        part["text"]
        if part["type"] == "text"
        else round(load(base64.b64decode(part["input_audio"]["data"])).duration_s, 2)
        for part in message["content"]
    ]


def test_a_vllm_server_is_sent_raw_prompts_and_long_recordings_word_for_word(
    serve: Callable[..., Server], noise: Noise
):
    server = serve()
    raw = RawPrompt((Audio(), "Recognize: <|en|>"))
    long = Waveform(noise(40))
    list(engine(server).generate([Request(raw, (Waveform(noise(0.5)),))], Sampling(stop=("b",))))
    list(engine(server).generate([ask("What?", long)], Sampling()))
    first, second = server.bodies
    assert parts_of(first) == ["<|audio_bos|>", 0.5, "<|audio_eos|>", "Recognize: <|en|>"]
    windows = [window.duration_s for window in cut_windows(long)]
    assert len(windows) == 2
    start = ["<|im_start|>system\n", "You are a helpful assistant.", "<|im_end|>\n", "<|im_start|>user\n"]
    end = ["\n", "What?", "<|im_end|>\n", "<|im_start|>assistant\n"]
    told = ["Audio 1: ", "<|audio_bos|>", *(round(window, 2) for window in windows), "<|audio_eos|>"]
    assert parts_of(second) == [*start, *told, *end]
    assert first["chat_template"] == second["chat_template"]
    assert first["repetition_penalty"] == 1.0
    assert first["stop"] == ["b"]


def test_a_vllm_server_that_trusts_no_template(serve: Callable[..., Server]):
    server = serve()
    words = "Chat template is passed with request, but --trust-request-chat-template is not set. Refused request."
    server.reply = lambda _: (400, {"error": {"message": words}})
    for answers in (
        engine(server).generate([Request(RawPrompt(("Recognise:",)))], Sampling()),
        engine(server).stream(Request(RawPrompt(("Recognise:",))), Sampling()),
    ):
        with pytest.raises(UserError, match=r"start vLLM with --trust-request-chat-template, or ask questions about"):
            next(answers)


def test_scores_on_a_vllm_server(serve: Callable[..., Server]):
    """The log-probabilities of what follows the prompt's own tokens."""
    server = serve()
    prompt = [5, 6]

    def reply(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        text = parts_of(body)[-1]
        ids = {" a": [*prompt, 7, 8], "a": [5, 9]}.get(str(text), prompt)
        places = [None, *({str(token): {"logprob": -token / 8}, "1": {"logprob": 0.0}} for token in ids[1:])]
        assert (body["prompt_logprobs"], body["return_token_ids"], body["max_tokens"]) == (0, True, 1)
        return 200, answer(body)[1] | {"prompt_token_ids": ids, "prompt_logprobs": places}

    server.reply = reply
    request = Request(RawPrompt(("Recognise:",)))
    assert engine(server).score(request, [" a", ""]) == [-15 / 8, 0.0]
    with pytest.raises(UserError, match="cannot score a text that joins the prompt's last word"):
        engine(server).score(request, ["a"])
    with pytest.raises(UserError, match=r"would read <\|im_end\|>"):
        engine(server).score(request, ["<|im_end|>"])


@pytest.mark.parametrize("owner", ["vllm", "auricle", "openai"])
def test_a_json_schema(owner: str, serve: Callable[..., Server]):
    server = serve(owner)
    schema = {"type": "object", "properties": {"answer": {"enum": ["yes", "no"]}}}
    list(engine(server).generate([ask()], Sampling(json_schema=json.dumps(schema))))
    told = server.bodies[0]["response_format"]
    assert told["type"] == "json_schema"
    assert told["json_schema"]["schema"] == schema
    for broken in ("{", "[1]"):
        with pytest.raises(UserError, match="json_schema must be a JSON object: got"):
            next(engine(server).generate([ask()], Sampling(json_schema=broken)))


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
