"""Every setting of a chat reaches the engine, or is refused by its name."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import openai
import pytest
from openai.types.chat import completion_create_params
from serving import ScriptedService, running

from auricle.conversation import Sampling
from auricle.errors import ContextError, UserError
from auricle.serve.chat.schemas import ChatRequest

Scripted = Callable[..., tuple[ScriptedService, openai.OpenAI]]
ASKED = [{"role": "user", "content": "x"}]
DEFAULTS = Sampling(
    temperature=0.7,
    top_k=20,
    top_p=0.5,
    min_p=0.1,
    repetition_penalty=1.1,
    min_new_tokens=3,
    max_new_tokens=99,
    stop=("#",),
)


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[ScriptedService, openai.OpenAI]]:
    """One server for all tests that only ask."""
    service = ScriptedService(defaults=DEFAULTS)
    with running(service) as started, started.openai() as client:
        yield service, client


@pytest.fixture
def heard(shared: tuple[ScriptedService, openai.OpenAI]) -> Callable[..., Sampling]:
    service, client = shared

    def send(**settings: Any) -> Sampling:
        client.post("/chat/completions", body={"messages": ASKED, **settings}, cast_to=dict)
        return service.asked[-1][1]

    return send


@pytest.fixture
def refused(shared: tuple[ScriptedService, openai.OpenAI]) -> Callable[..., openai.BadRequestError]:
    """The error, after it was seen that the engine was not asked."""
    service, client = shared

    def send(**settings: Any) -> openai.BadRequestError:
        before = len(service.asked)
        with pytest.raises(openai.BadRequestError) as caught:
            client.post("/chat/completions", body={"messages": ASKED, **settings}, cast_to=dict)
        assert len(service.asked) == before
        return caught.value

    return send


def test_what_is_left_out_or_null_is_the_models_own(heard: Callable[..., Sampling]):
    assert heard() == DEFAULTS
    optional = set(ChatRequest.model_fields) - {"messages"}
    assert heard(**dict.fromkeys(optional)) == DEFAULTS
    assert {"temperature", "stop", "n", "tools", "store", "stream"} < optional


@pytest.mark.parametrize(
    ("sent", "changed"),
    [
        ({"temperature": 0}, {"temperature": 0.0}),
        ({"temperature": 1e-300}, {"temperature": 0.0}),
        ({"temperature": 1.5}, {"temperature": 1.5}),
        ({"top_p": 0.25}, {"top_p": 0.25}),
        ({"top_k": 7}, {"top_k": 7}),
        ({"top_k": 0}, {"top_k": 0}),
        ({"top_k": -1}, {"top_k": 0}),
        ({"min_p": 0}, {"min_p": 0.0}),
        ({"repetition_penalty": 1}, {"repetition_penalty": 1.0}),
        ({"max_tokens": 5}, {"max_new_tokens": 5}),
        ({"max_completion_tokens": 6}, {"max_new_tokens": 6}),
        ({"max_tokens": 7, "max_completion_tokens": 7}, {"max_new_tokens": 7}),
        ({"max_tokens": 2}, {"max_new_tokens": 2, "min_new_tokens": 2}),
        ({"min_tokens": 9}, {"min_new_tokens": 9}),
        ({"min_tokens": 200}, {"min_new_tokens": 200, "max_new_tokens": 200}),
        ({"stop": "a"}, {"stop": ("a",)}),
        ({"stop": ["a", "b"]}, {"stop": ("a", "b")}),
        ({"stop": []}, {"stop": ()}),
        ({"seed": -5}, {"seed": -5}),
        ({"logprobs": True}, {"logprobs": 0}),
        ({"logprobs": True, "top_logprobs": 4}, {"logprobs": 4}),
        ({"logprobs": False, "top_logprobs": 0}, {}),
        ({"top_logprobs": 0}, {}),
        ({"logprobs": False}, {}),
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {"type": "json_object"}}, {"json_schema": '{"type": "object"}'}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"const": "é"}}}},
            {"json_schema": '{"const": "\\u00e9"}'},
        ),
    ],
)
def test_each_setting_reaches_the_engine(heard: Callable[..., Sampling], sent: dict[str, Any], changed: dict[str, Any]):
    assert heard(**sent) == replace(DEFAULTS, **changed)


def test_beams_of_a_generation_config_are_not_searched(scripted: Scripted):
    service, client = scripted(defaults=Sampling(num_beams=4, length_penalty=2.0))
    client.chat.completions.create(model="x", messages=ASKED, temperature=0.5)
    assert service.asked[0][1] == Sampling(temperature=0.5)


NEUTRAL: dict[str, list[Any]] = {
    "n": [1],
    "frequency_penalty": [0, 0.0],
    "presence_penalty": [0],
    "logit_bias": [{}],
    "tools": [[]],
    "tool_choice": ["none", "auto"],
    "functions": [[]],
    "function_call": ["none", "auto"],
    "modalities": [["text"]],
    "reasoning_effort": ["none"],
    "verbosity": ["medium"],
    "parallel_tool_calls": [True, False],
    "prediction": [{"type": "content", "content": "x"}],
    "service_tier": ["auto", "flex"],
    "store": [True, False],
    "metadata": [{"a": "b"}],
    "user": ["u"],
    "safety_identifier": ["s"],
    "prompt_cache_key": ["k"],
    "prompt_cache_options": [{"mode": "implicit"}],
    "prompt_cache_retention": ["24h"],
}
CHANGING: dict[str, Any] = {
    "n": 2,
    "frequency_penalty": 0.5,
    "presence_penalty": -1,
    "logit_bias": {"5": 100},
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "tool_choice": "required",
    "functions": [{"name": "f"}],
    "function_call": {"name": "f"},
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "wav"},
    "moderation": {"model": "omni-moderation-latest"},
    "reasoning_effort": "high",
    "verbosity": "low",
    "web_search_options": {},
}


def test_every_parameter_of_openai_is_known():
    theirs = {
        *completion_create_params.CompletionCreateParamsBase.__annotations__,
        *completion_create_params.CompletionCreateParamsStreaming.__annotations__,
    }
    assert theirs - set(ChatRequest.model_fields) == set()
    answered = {"messages", "model", "temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed"}
    answered |= {"logprobs", "top_logprobs", "response_format", "stream", "stream_options"}
    assert theirs == answered | set(NEUTRAL) | set(CHANGING)


@pytest.mark.parametrize("name", NEUTRAL)
def test_a_known_parameter_with_its_neutral_value_changes_nothing(heard: Callable[..., Sampling], name: str):
    for value in [*NEUTRAL[name], None]:
        assert heard(**{name: value}) == DEFAULTS


@pytest.mark.parametrize("name", CHANGING)
def test_one_that_would_change_the_answer_is_refused_by_name(refused: Callable[..., openai.BadRequestError], name: str):
    error = refused(**{name: CHANGING[name]})
    assert re.search(rf"{name} is not supported: got .*, expected .*nothing", error.message)
    assert (error.param, error.code) == (name, "unsupported_parameter")


@pytest.mark.parametrize(
    ("sent", "param", "said"),
    [
        ({"temprature": 1}, "temprature", "unknown field 'temprature'; did you mean temperature?"),
        ({"qwxyz": 1}, "qwxyz", "unknown field 'qwxyz'; leave it out"),
        ({"temperature": "1"}, "temperature", "temperature should be a valid number: got '1'"),
        ({"temperature": 2.5}, "temperature", "temperature should be less than or equal to 2: got 2.5"),
        ({"temperature": True}, "temperature", "temperature should be a valid number: got true"),
        ({"top_p": 0}, "top_p", "top_p should be greater than 0: got 0"),
        ({"top_k": 1.5}, "top_k", "top_k should be a valid integer: got 1.5"),
        ({"top_k": -2}, "top_k", "top_k should be greater than or equal to -1: got -2"),
        ({"max_tokens": 0}, "max_tokens", "max_tokens should be greater than or equal to 1: got 0"),
        ({"seed": 2**63}, "seed", "seed should be less than or equal to 9223372036854775807: got 9223372036854775808"),
        ({"stop": [""]}, "stop[0]", "stop[0] should have at least 1 character: got ''"),
        ({"stop": 5}, "stop", "stop should be a valid string: got 5"),
        ({"stream": 1}, "stream", "stream should be a valid boolean: got 1"),
        ({"model": "m" * 257}, "model", "model should have at most 256 characters: got 'mmm"),
        ({"model": 5}, "model", "model should be a valid string: got 5"),
        ({"n": True}, "n", "n is not supported: got true, expected 1 or nothing"),
        (
            {"max_tokens": 3, "max_completion_tokens": 4},
            "max_tokens",
            "max_tokens 3 and max_completion_tokens 4 disagree",
        ),
        ({"top_logprobs": 2}, "top_logprobs", "top_logprobs 2 needs logprobs: true"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "top_logprobs should be less than or equal to 20"),
        ({"stream_options": {}}, "stream_options", "stream_options needs stream: true"),
        ({"min_tokens": 4, "max_tokens": 3}, "min_tokens", "min_tokens 4 exceeds max_tokens 3; lower it"),
        (
            {"response_format": {"type": "xml"}},
            "response_format",
            "'xml', expected 'text', 'json_object' or 'json_schema'",
        ),
        ({"response_format": {}}, "response_format.type", "response_format has no type; say which it is"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}},
            "response_format.json_schema.schema",
            "response_format.json_schema.schema is missing",
        ),
    ],
)
def test_a_wrong_setting_is_named(
    refused: Callable[..., openai.BadRequestError], sent: dict[str, Any], param: str, said: str
):
    error = refused(**sent)
    assert said in error.message
    assert error.param == param


class Crowded(ScriptedService):
    """A model whose context has so many tokens left."""

    num_left = 50

    def submit(self, request: Any, sampling: Sampling, index: int = 0) -> Any:
        if sampling.max_new_tokens > self.num_left:
            raise ContextError("prompt too long; lower max_new_tokens", self.num_left)
        return super().submit(request, sampling, index)


def test_the_models_own_limit_is_cut_to_the_context_and_a_given_one_is_not(
    serve: Callable[..., Any], openai_client: Callable[..., openai.OpenAI]
):
    service = Crowded(defaults=DEFAULTS)
    client = openai_client(serve(service))
    client.chat.completions.create(model="x", messages=ASKED)
    assert service.asked[-1][1] == replace(DEFAULTS, max_new_tokens=50)
    client.chat.completions.create(model="x", messages=ASKED, max_tokens=50)
    for sent, left, param in (({"max_tokens": 51}, 50, "max_tokens"), ({}, 0, "messages"), ({}, 2, "max_tokens")):
        service.num_left = left
        with pytest.raises(openai.BadRequestError, match="lower max_tokens") as caught:
            client.chat.completions.create(model="x", messages=ASKED, **sent)
        assert (caught.value.param, caught.value.code) == (param, "context_length_exceeded")


def test_a_schema_that_the_engine_refuses_is_named(client: openai.OpenAI, scripted: Scripted):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="x", messages=ASKED, response_format={"type": "json_object"})
    assert caught.value.param == "response_format"
    _, other = scripted(refusal=UserError("the moon is too far; go there"))
    with pytest.raises(openai.BadRequestError, match="the moon is too far; go there") as caught:
        other.chat.completions.create(model="x", messages=ASKED)
    assert caught.value.param is None


def test_a_seed_repeats_a_draw_and_another_does_not(client: openai.OpenAI):
    said = [
        client.chat.completions.create(model="x", messages=ASKED, temperature=1.5, seed=seed, max_tokens=12)
        .choices[0]
        .message.content
        for seed in (1, 1, 2)
    ]
    assert said[0] == said[1] != said[2]
