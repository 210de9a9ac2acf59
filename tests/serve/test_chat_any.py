"""Any chat that the description allows is answered, and anything else is refused in OpenAI's shape: never a 500."""

import base64
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion
from serving import Running

from auricle.serve.chat.completion import Completion

CHAT = "/v1/chat/completions"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["<|im_end|>", "<|AUDIO|>", "\0"]
)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3)
TEXT_PART = TEXT.map(lambda said: {"type": "text", "text": said})
TURNS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"role": st.sampled_from(["system", "developer", "user"]), "content": TEXT}),
        st.fixed_dictionaries(
            {
                "role": st.sampled_from(["system", "developer", "user"]),
                "content": st.lists(TEXT_PART | st.just("RECORDING"), min_size=1, max_size=3),
            }
        ),
        st.fixed_dictionaries(
            {"role": st.just("assistant"), "content": TEXT | st.lists(TEXT_PART, min_size=1, max_size=2)}
        ),
    ),
    min_size=1,
    max_size=4,
)
SETTINGS = st.fixed_dictionaries(
    {"messages": TURNS, "max_tokens": st.integers(1, 6)},
    optional={
        "model": TEXT,
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0, 1, exclude_min=True),
        "top_k": st.integers(-1, 2**31),
        "min_p": st.floats(0, 1, exclude_max=True),
        "repetition_penalty": st.floats(0.01, 100),
        "min_tokens": st.integers(0, 1),
        "stop": WORDS | st.lists(WORDS, max_size=3),
        "seed": st.integers(-(2**63), 2**63 - 1),
        "n": st.none() | st.just(1),
        "metadata": st.dictionaries(TEXT, TEXT, max_size=2),
        "response_format": st.just({"type": "text"}),
        "user": TEXT,
    },
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def http(server: Running) -> Iterator[httpx.Client]:
    with server.http() as plain:
        yield plain


@pytest.fixture(scope="module")
def recording(encode_audio: Callable[..., bytes], sine: Callable[..., np.ndarray]) -> dict[str, Any]:
    file = encode_audio(sine(0.2)[None], container="wav", codec="pcm_s16le", rate=16000)
    return {"type": "input_audio", "input_audio": {"data": base64.b64encode(file).decode(), "format": "wav"}}


def with_recordings(body: dict[str, Any], recording: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(body).replace('"RECORDING"', json.dumps(recording)))


@settings(max_examples=20)
@given(body=SETTINGS, wants=st.none() | st.integers(0, 20))
def test_what_is_described_is_answered(http: httpx.Client, recording: dict[str, Any], body: dict[str, Any], wants: Any):
    body = with_recordings(body, recording)
    if wants is not None:
        body |= {"logprobs": True, "top_logprobs": wants}
    answer = http.post(CHAT, json=body)
    assert answer.status_code == 200, answer.text
    Completion.model_validate(answer.json(), strict=True)
    completion = ChatCompletion.model_validate(answer.json())
    [choice] = completion.choices
    assert completion.usage.completion_tokens <= body["max_tokens"]
    if wants is not None:
        assert len(choice.logprobs.content) == completion.usage.completion_tokens
        assert all(math.isfinite(token.logprob) for token in choice.logprobs.content)
        assert all(len(token.top_logprobs) == wants for token in choice.logprobs.content)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place inside a body."""
    if path:
        yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*path, key))


@settings(max_examples=50)
@given(data=st.data(), body=SETTINGS, anything=JSON)
def test_anything_else_is_refused_and_named(
    http: httpx.Client, recording: dict[str, Any], data: st.DataObject, body: dict[str, Any], anything: Any
):
    body = with_recordings(body, recording)
    *outer, last = data.draw(st.sampled_from(sorted(places(body), key=repr)))
    inside: Any = body
    for key in outer:
        inside = inside[key]
    inside[data.draw(st.just(last) | st.text(max_size=9)) if isinstance(inside, dict) else last] = anything
    answer = http.post(CHAT, content=json.dumps(body), headers={"content-type": "application/json"})
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 400:
        got = answer.json()["error"]
        assert got["type"] == "invalid_request_error"
        assert 0 < len(got["message"]) < 500
        assert "\n" not in got["message"]


@settings(max_examples=20)
@given(body=st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_refused(http: httpx.Client, body: bytes):
    answer = http.post(CHAT, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
