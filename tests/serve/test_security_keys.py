"""Who gets in: keys, foreign web pages, names that suddenly mean this machine."""

import hmac
import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from safe_fixtures import SPEECH, TRANSCRIBE
from serving import Running, ScriptedService, running
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from auricle.errors import UserError
from auricle.serve.guard import keys
from auricle.serve.guard.keys import Guard, is_loopback
from auricle.serve.run import warn_of_strangers
from auricle.serve.settings import ServeSettings

KEY = "sk-auricle-0123456789"
BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def locked() -> Iterator[Running]:
    """A server with a key."""
    with running(ScriptedService(), api_key=KEY) as started:
        yield started


@pytest.fixture(scope="module")
def unlocked() -> Iterator[Running]:
    """A server without one, on this machine alone."""
    with running(ScriptedService()) as started:
        yield started


def test_no_key_opens_no_door(locked: Running):
    """Every path of the OpenAPI description, and those beside it, found by asking the server itself with its key."""
    with locked.http() as client:
        described = client.get("/openapi.json", headers=BEARER).json()["paths"]
        doors = {(path, method) for path, methods in described.items() for method in methods}
        assert {("/v1/models", "get"), (TRANSCRIBE, "post"), ("/health", "get"), ("/metrics", "get")} <= doors
        beside = {("/docs", "get"), ("/openapi.json", "get"), ("/", "get"), ("/gradio_api/queue/join", "post")}
        for path, method in sorted(doors | beside | {("/nothing", "get"), ("//v1/models", "get")}):
            answer = client.request(method, path)
            assert answer.status_code == (200 if path == "/health" else 401), path
        for path in ("/v1/%6dodels", "/%76%31/models"):
            assert client.get(path).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": KEY},
        {"Authorization": f"Bearer {KEY}x"},
        {"Authorization": f"Bearer {KEY[:-1]}"},
        {"Authorization": f"Bearer {KEY.upper()}"},
        {"api-key": KEY},
        {"Sec-WebSocket-Protocol": f"openai-insecure-api-key.{KEY}"},  # is for WebSockets alone
        {"X-Forwarded-For": "127.0.0.1", "Host": "localhost"},
    ],
)
def test_a_wrong_key_is_refused_in_openais_shape(locked: Running, headers: dict[str, str]):
    with locked.http() as client:
        answer = client.get("/v1/models", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")
    assert KEY not in answer.text


def test_the_key_lets_in_whatever_host_and_page_ask(locked: Running):
    with locked.http() as client:
        assert client.get("/v1/models", headers=BEARER).status_code == 200
        assert client.get("/v1/models", headers={"Authorization": f"bearer  {KEY}"}).status_code == 200
        elsewhere = BEARER | {"Host": "speech.example", "Origin": "https://pages.example"}
        assert client.get("/v1/models", headers=elsewhere).status_code == 200
    with locked.openai(api_key=KEY) as official:
        assert official.models.list().data


def test_wrong_key_timing_tells_nothing(monkeypatch: pytest.MonkeyPatch):
    """Keys are compared as digests, of one length, with the function made for it, each to the end."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(keys, "hmac", type("hmac", (), {"compare_digest": staticmethod(compare)}))
    for shown in ("", "s", KEY[:-1] + "x", "x" * 5000, KEY):
        answer = asked({"authorization": f"Bearer {shown}"}, api_key=KEY)
        assert answer == (200 if shown == KEY else 401)
    assert len(compared) == 5
    assert {len(side) for pair in compared for side in pair} == {32}
    assert len({own for _, own in compared}) == 1


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).accept()
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def asked(headers: dict[str, str], *, path: str = "/v1/models", method: str = "GET", **settings: Any) -> int:
    app = Guard(answers, settings=ServeSettings(**{"page": False, **settings}))
    client = TestClient(app, base_url="http://localhost:8000")
    return client.request(method, path, headers=headers).status_code


def test_a_websocket_needs_the_key_too():
    app = Guard(answers, settings=ServeSettings(api_key=KEY, page=False))
    client = TestClient(app, base_url="http://localhost:8000")
    browser = ["realtime", f"openai-insecure-api-key.{KEY}", "openai-beta.realtime-v1"]
    for options in ({"headers": BEARER}, {"subprotocols": browser}):
        with client.websocket_connect("/v1/realtime", **options):
            pass
    for options in ({}, {"headers": {"Authorization": "Bearer x"}}, {"subprotocols": [browser[1] + "x"]}):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/v1/realtime", **options):
            pass


def test_a_websocket_without_the_key_is_answered_401(locked: Running):
    with pytest.raises(InvalidStatus) as refused, connect(f"{locked.url.replace('http', 'ws')}/v1/realtime"):
        pass
    assert refused.value.response.status_code == 401


@pytest.mark.parametrize(
    "host", ["attacker.example", "attacker.example:8000", "127.0.0.1.nip.io", "localhost.evil", ""]
)
def test_dns_rebinding_finds_no_local_server(unlocked: Running, host: str):
    """The attacker's name means 127.0.0.1 now; its pages count as the same origin, but the name still stands there."""
    headers = {"Host": host, "Origin": f"http://{host}"}
    with unlocked.http() as client:
        answer = client.post(TRANSCRIBE, files={"file": SPEECH.read_bytes()}, headers=headers)
        assert answer.status_code == 421
        assert answer.json()["error"]["message"].startswith("this server does not answer for the host ")
    assert asked({"host": host}, path="/health") == 421
    for own in ("localhost:8000", "LOCALHOST", "127.0.0.1:1", "[::1]:8000", "[::1]"):
        assert asked({"host": own}) == 200
    assert asked({"host": "ear.local:8000"}, host="127.0.0.1") == 421
    assert asked({"host": "ear.local:8000"}, host="0.0.0.0") == 200  # nobody knows its names


@pytest.mark.parametrize(
    "origin", ["https://news.example", "http://127.0.0.1:9", "null", "file://", "http://[", "http://"]
)
def test_foreign_page_cannot_use_local_server(unlocked: Running, origin: str):
    with unlocked.http() as client:
        answer = client.post(
            TRANSCRIBE, files={"file": ("a.flac", SPEECH.read_bytes())}, data={"model": "m"}, headers={"Origin": origin}
        )
        assert answer.status_code == 403
        assert "may not use this server: only its own page" in answer.json()["error"]["message"]
        assert "access-control-allow-origin" not in answer.headers
        assert client.options(TRANSCRIBE, headers={"Origin": origin}).status_code == 403
        assert client.get("/v1/models", headers={"Origin": unlocked.url}).status_code == 200
    with pytest.raises(InvalidStatus) as refused, connect(f"{unlocked.url.replace('http', 'ws')}/", origin=origin):  # type: ignore[arg-type]
        pass
    assert refused.value.response.status_code == 403


def test_foreign_page_cannot_use_a_logged_in_readers_page():
    """With a key the page's paths stand open here, as they have a login; another page gets no use of it."""
    page = {"page": True, "api_key": KEY}
    join = "/gradio_api/queue/join"
    assert asked({}, path=join, method="POST", **page) == 200
    assert asked({"origin": "http://localhost:8000"}, path=join, method="POST", **page) == 200
    assert asked({"origin": "http://localhost:9000"}, path=join, method="POST", **page) == 403
    proxied = {"host": "10.0.0.1:80", "x-forwarded-host": "speech.example", "origin": "https://speech.example"}
    assert asked(proxied, path=join, method="POST", **page) == 200
    app = Guard(answers, settings=ServeSettings(**page))
    client = TestClient(app, base_url="http://localhost:8000")
    foreign = {"Origin": "http://localhost:9000"}
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/page/v1/realtime", headers=foreign):
        pass


@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/docs", "/openapi.json", "/pages", "/gradio_apis", "/v1/"])
def test_the_pages_own_paths_are_few(path: str):
    assert asked({}, path=path, page=True, api_key=KEY) == 401
    assert asked({}, path="/gradio_api/info", page=False, api_key=KEY) == 401


def test_a_server_for_everyone_says_so(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING, logger="auricle")
    assert ServeSettings().host == "127.0.0.1"
    for quiet in (ServeSettings(), ServeSettings(host="::1"), ServeSettings(host="0.0.0.0", api_key=KEY)):
        warn_of_strangers(quiet)
    assert caplog.text == ""
    warn_of_strangers(ServeSettings(host="0.0.0.0"))
    assert "ANYONE WHO REACHES 0.0.0.0 MAY USE THIS SERVER" in caplog.text


def test_which_hosts_are_this_machine_alone():
    assert all(map(is_loopback, ["127.0.0.1", "127.9.9.9", "::1", "localhost"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "192.168.1.2", "ear.local", ""]))


@pytest.mark.parametrize(
    ("key", "message"),
    [("", "the API key is empty"), ("two words", "holds spaces or letters"), ("schlüssel", "holds spaces or letters")],
)
def test_a_key_that_no_header_can_carry_is_refused(key: str, message: str):
    with pytest.raises(UserError, match=message):
        ServeSettings(api_key=key)


def test_the_key_stands_in_no_answer_and_no_log(locked: Running, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    with locked.http() as client:
        texts = [
            client.get(path, headers=BEARER).text for path in ("/v1/models", "/metrics", "/openapi.json", "/health")
        ]
        texts.append(json.dumps(dict(client.get("/v1/models", headers=BEARER).headers)))
    assert KEY not in "".join(texts)
    assert KEY not in "".join(record.getMessage() for record in caplog.records if record.name.startswith("auricle"))


def test_no_key_is_asked_for_where_none_is_set(unlocked: Running):
    with httpx.Client(base_url=unlocked.url) as client:
        assert client.get("/v1/models").status_code == 200
        assert client.get("/v1/models", headers=BEARER).status_code == 200
