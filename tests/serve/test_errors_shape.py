"""Whatever goes wrong, clients read it in OpenAI's shape, and nothing of our inside."""

import base64
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
from serving import Running, ScriptedService, until

from auricle.engines.upstream import UpstreamBusyError, UpstreamError
from auricle.serve.wire.errors import ApiError

ASKED = [{"role": "user", "content": "x"}]
CHAT = "/v1/chat/completions"
JSON = {"content-type": "application/json"}


@pytest.fixture
def http(server: Running) -> Iterator[httpx.Client]:
    with server.http() as plain:
        yield plain


def error(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The error inside, after the shape was seen to be whole."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"].startswith("req_")
    assert list(answer.json()) == ["error"]
    assert list(answer.json()["error"]) == ["message", "type", "param", "code"]
    return answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body is empty, expected a JSON object"),
        (b"{", "the body is not JSON: Expecting property name enclosed in double quotes at character 1"),
        (b"[1]", "the body is an array of 1, expected a JSON object"),
        (b"null", "the body is null, expected a JSON object"),
        (b'{"temperature": NaN}', "the body holds NaN, which is no JSON"),
        (b'{"temperature": -Infinity}', "the body holds -Infinity, which is no JSON"),
        (b'{"seed": ' + b"1" * 5000 + b"}", "the body holds a number of thousands of digits"),
        (b"[" * 100_000, "the body is not read: its JSON is nested too deeply"),
        (b'{"a": ' + b"[" * 980 + b"]" * 980 + b"}", "nested|unknown field"),
        (b"\xff\xfe{\x00}\x00", "the body holds halves of characters or is not UTF-8"),
        (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', "the body holds halves of characters"),
        (b'{"\\udc00": 1}', "the body holds halves of characters"),
        (
            '{"messages": [{"role": "user", "content": "é\\u00e9"}], "temperature": 1e999}'.encode(),
            "finite number: got inf",
        ),
    ],
)
def test_a_body_that_is_no_object_of_json(http: httpx.Client, body: bytes, said: str):
    got = error(http.post(CHAT, content=body, headers=JSON), 400)
    assert any(one in got["message"] for one in said.split("|"))
    assert got["type"] == "invalid_request_error"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
def test_a_form_of_another_page_is_not_read(http: httpx.Client, kind: str):
    """What a browser may send from any page without asking first has none of JSON's types."""
    body = json.dumps({"messages": ASKED, "max_tokens": 1})
    got = error(http.post(CHAT, content=body, headers={"content-type": kind}), 415)
    assert got["message"] == f"the body is of type {kind!r}, expected Content-Type: application/json"
    for known in ("application/json; charset=utf-8", "application/problem+json", "Application/JSON"):
        assert http.post(CHAT, content=body, headers={"content-type": known}).status_code == 200


def test_no_page_of_another_origin_is_let_read_answers(http: httpx.Client):
    """Neither before it asks nor after: no answer carries the headers that a browser waits for."""
    strange = {"origin": "https://evil.example"}
    before = http.options(CHAT, headers=strange | {"access-control-request-method": "POST"})
    after = http.post(CHAT, json={"messages": ASKED, "max_tokens": 1}, headers=strange)
    assert before.status_code >= 400
    for answer in (before, after):
        assert not [name for name in answer.headers if name.startswith("access-control")]


def sent(**content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, content]}]}


def recording(data: str) -> dict[str, Any]:
    return sent(type="input_audio", input_audio={"data": data, "format": "wav"})


PART = "messages[0].content[1]"


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        ({}, "messages", "messages is missing"),
        ({"messages": []}, "messages", "messages should have at least 1 item: got []"),
        ({"messages": "x"}, "messages", "messages should be a valid list: got 'x'"),
        ({"messages": [5]}, "messages[0]", "messages[0] is 5, expected an object"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "messages[0] has no role; say which it is"),
        (
            {"messages": [*ASKED, {"role": "tool", "content": "x"}]},
            "messages[1]",
            "messages[1] is of kind 'tool', expected 'system', 'developer', 'user' or 'assistant'",
        ),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "messages[0].content is missing"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content", "should have at least 1 item: got []"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "should be a valid string: got 5"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", "valid string: got null"),
        ({"messages": [{"role": "assistant"}]}, "messages[0].content", "messages[0].content is missing"),
        ({"messages": [{"role": "user", "content": "a"}] * 1001}, "messages", "at most 1000 items"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}] * 129}]},
            "messages[0].content",
            "at most 128 items",
        ),
        (
            {"messages": [{"role": "user", "content": "x", "name": "Ann"}]},
            "messages[0].name",
            "messages[0].name is not supported: got 'Ann', expected nothing",
        ),
        (
            {"messages": [*ASKED, {"role": "assistant", "content": "x", "tool_calls": [{}]}]},
            "messages[1].tool_calls",
            "messages[1].tool_calls is not supported: got an array of 1, expected [] or nothing",
        ),
        (
            {"messages": [{"role": "user", "content": "x", "contents": "y"}]},
            "messages[0].contents",
            "unknown field 'messages[0].contents'; did you mean content?",
        ),
        (
            {"messages": [*ASKED, {"role": "assistant", "content": [{"type": "input_audio", "input_audio": {}}]}]},
            "messages[1].content[0]",
            "messages[1].content[0] is of kind 'input_audio', expected 'text' or 'refusal'",
        ),
        (
            sent(type="image_url", image_url={"url": "x"}),
            PART,
            f"{PART} is of kind 'image_url', expected 'text', 'input_audio' or 'audio_url'",
        ),
        (sent(type="file", file={}), PART, f"{PART} is of kind 'file'"),
        (sent(text="x"), f"{PART}.type", f"{PART} has no type; say which it is"),
        (sent(type="input_audio"), f"{PART}.input_audio", "input_audio is missing"),
        (recording("***"), f"{PART}.input_audio.data", "the recording's data is not base64"),
        (recording("aé=="), f"{PART}.input_audio.data", "the recording's data is not base64"),
        (recording("abc"), f"{PART}.input_audio.data", "the recording's data is not base64"),
        (recording(""), f"{PART}.input_audio.data", "should have at least 1 character"),
        (recording(" \n"), f"{PART}.input_audio.data", "is empty (0 bytes)"),
        (recording(base64.b64encode(b"no sound").decode()), f"{PART}.input_audio.data", f"cannot decode {PART}"),
        (
            sent(type="audio_url", audio_url={"url": "file:///etc/passwd"}),
            f"{PART}.audio_url.url",
            "file:///etc/passwd",
        ),
        (sent(type="audio_url", audio_url={"url": "x", "detail": 1}), f"{PART}.audio_url.detail", "unknown field"),
    ],
)
def test_what_is_wrong_with_messages_is_found_by_its_place(
    http: httpx.Client, body: dict[str, Any], param: str, said: str
):
    got = error(http.post(CHAT, json=body), 400)
    assert said in got["message"]
    assert got["param"] == param


def test_a_schema_nested_without_end_is_refused(http: httpx.Client):
    for depth in (100, 400, 700, 900, 950, 970, 980, 985, 990, 995):
        deep = '{"a": ' * depth + "1" + "}" * depth
        form = '{"type": "json_schema", "json_schema": {"name": "n", "schema": ' + deep + "}}"
        for body in (
            f'{{"messages": [{{"role": "user", "content": "x"}}], "response_format": {form}}}',
            f'{{"tools": {deep}}}',
        ):
            error(http.post(CHAT, content=body, headers=JSON), 400)


def test_addresses_and_methods(http: httpx.Client):
    got = error(http.get("/v1/nothing?x=1"), 404)
    assert got["message"] == "there is nothing at GET /v1/nothing; /docs lists what is there"
    assert (got["type"], got["code"]) == ("not_found_error", "unknown_url")
    answer = http.get(CHAT)
    assert error(answer, 405)["message"] == f"GET {CHAT} is not possible; use POST"
    assert answer.headers["allow"] == "POST"
    assert error(http.get(f"{CHAT}/"), 404)


def test_our_own_failure_says_nothing_of_its_inside(serve: Callable[..., Running], caplog: pytest.LogCaptureFixture):
    started = serve(ScriptedService(failure=ZeroDivisionError("secret inside")))
    with caplog.at_level(logging.ERROR), started.http() as http:
        answer = http.post(CHAT, json={"messages": ASKED})
        got = error(answer, 500)
        name = answer.headers["x-request-id"]
        assert got["message"] == f"the server failed on this request; its log says why under {name}"
        assert got["type"] == "server_error"
        [record] = [record for record in caplog.records if record.name == "auricle.serve.status.recorder"]
        assert record.getMessage() == f"{name}: POST {CHAT} failed"
        assert "ZeroDivisionError: secret inside" in caplog.text
        assert started.gateway.admission.running == 0
        assert http.get("/health").status_code == 200


class Refusing(ScriptedService):
    def submit(self, *asked: Any) -> Any:
        raise self.refusal


@pytest.mark.parametrize(
    ("refusal", "kind", "status"),
    [
        (ApiError(401, "no key"), openai.AuthenticationError, 401),
        (ApiError(403, "not you"), openai.PermissionDeniedError, 403),
        (ApiError(413, "too long"), openai.APIStatusError, 413),
        (ApiError(429, "busy", code="rate_limit_exceeded"), openai.RateLimitError, 429),
        (UpstreamBusyError("no upstream server answers: it is busy"), openai.RateLimitError, 429),
        (UpstreamError("no upstream server answers"), openai.InternalServerError, 502),
        (ApiError(503, "the server is stopping"), openai.InternalServerError, 503),
    ],
)
def test_the_official_client_raises_its_own_errors(
    serve: Callable[..., Running],
    openai_client: Callable[..., openai.OpenAI],
    refusal: Exception,
    kind: type[openai.APIStatusError],
    status: int,
):
    client = openai_client(serve(Refusing(refusal=refusal)))
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model="x", messages=ASKED)
    assert (caught.value.status_code, caught.value.body["message"]) == (status, str(refusal))
    assert caught.value.request_id.startswith("req_")


def test_a_full_server_and_one_that_stops(serve: Callable[..., Running], openai_client: Callable[..., openai.OpenAI]):
    gate = threading.Event()
    service = ScriptedService(gate=gate)
    started = serve(service, max_concurrency=1, max_queue=0)
    client = openai_client(started)
    first = threading.Thread(target=client.chat.completions.create, kwargs={"model": "x", "messages": ASKED})
    first.start()
    until(lambda: service.tickets)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="x", messages=ASKED)
    assert caught.value.code == "rate_limit_exceeded"
    assert int(caught.value.response.headers["retry-after"]) >= 1
    with started.http() as http:
        assert http.get("/health").json() == {"status": "ok"}
        started.gateway.admission.drain()
        assert (http.get("/health").status_code, http.get("/health").json()) == (503, {"status": "draining"})
    with pytest.raises(openai.InternalServerError, match="the server is stopping"):
        client.chat.completions.create(model="x", messages=ASKED)
    gate.set()
    first.join(10)
    assert not first.is_alive()
