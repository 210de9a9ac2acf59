"""Bodies of JSON that are large: they cost little memory, and nobody else any time."""

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from safe_fixtures import SPEECH, guarded
from serving import Running, ScriptedService

from auricle.serve.wire import json_body
from auricle.serve.wire.errors import ApiError

CHAT = "/v1/chat/completions"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """A server that takes recordings of 1 MB."""
    with guarded(ScriptedService(), max_upload_mb=1) as started:
        yield started


@pytest.fixture
def http(running: Running) -> Iterator[httpx.Client]:
    with running.http() as client:
        yield client


def test_a_body_of_too_many_values_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch):
    many = b'{"a": [' + b",".join([b"{}"] * 100_000) + b"]}"
    few = b'{"a": [' + b",".join([b"{}"] * 60_000) + b"]}"
    assert len(json_body.parse(few)["a"]) == 60_000
    monkeypatch.setattr(json_body.json, "loads", None)
    with pytest.raises(ApiError, match="the body holds more than 131072 of") as refused:
        json_body.parse(many)
    assert refused.value.status == 400


@pytest.mark.parametrize(("num_letters", "in_thread"), [(10, False), (300_000, True)])
def test_only_short_bodies_are_read_by_the_event_loop(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch, num_letters: int, in_thread: bool
):
    threads: list[bool] = []

    def parse(body: bytes) -> dict[str, Any]:
        threads.append("worker" in threading.current_thread().name.lower())
        return real(body)

    real = json_body.parse
    monkeypatch.setattr(json_body, "parse", parse)
    answer = http.post(CHAT, json={"messages": [{"role": "user", "content": "a" * num_letters}]})
    assert answer.status_code == 200
    wrong = http.post(CHAT, json={"messages": [{"role": "user", "content": 1, "name": "a" * num_letters}]})
    assert wrong.status_code == 400
    assert wrong.json()["error"]["param"].startswith("messages[0].")
    assert threads == [in_thread] * 2


@pytest.mark.parametrize("text", ["\\ud83d\\ude00", "\\u00e9", "é"])
def test_whole_characters_are_taken_however_written(text: str):
    assert json_body.parse(f'{{"a": ["{text}"]}}'.encode())["a"][0] in ("\U0001f600", "é")


@pytest.mark.parametrize("body", ['{"a": [{"b": "\\udc00"}]}', '{"a": [{"\\ud800": 1}]}', '["\\ud800"]'])
def test_halves_of_characters_are_found_everywhere(body: str):
    with pytest.raises(ApiError, match="halves of characters"):
        json_body.parse(body.encode())


@pytest.mark.parametrize(("num_bytes", "status"), [(10**6, 200), (10**6 + 1, 413)])
def test_a_recording_inside_the_body_has_the_limit_of_uploads(http: httpx.Client, num_bytes: int, status: int):
    recording = SPEECH.read_bytes()
    data = base64.b64encode(recording + bytes(num_bytes - len(recording))).decode()
    part = {"type": "input_audio", "input_audio": {"data": data, "format": "flac"}}
    answer = http.post(CHAT, json={"messages": [{"role": "user", "content": [part]}]})
    assert answer.status_code == status
    if status == 413:
        assert answer.json()["error"]["message"] == "the recording is larger than 1 MB, the limit here; send less"
        assert answer.json()["error"]["param"] == "messages[0].content[0].input_audio.data"


def test_small_things_that_clients_send(http: httpx.Client):
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": None}, {"role": "user", "content": "b"}]
    assert http.post(CHAT, content=json.dumps({"messages": said}), headers=JSON).status_code == 200
    asked = [said[0], {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]
    assert http.post(CHAT, content=json.dumps({"messages": asked}), headers=JSON).status_code == 400
    health = http.head("/health")
    assert (health.status_code, health.content) == (200, b"")
