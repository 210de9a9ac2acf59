"""/metrics: what was asked, heard and said, in Prometheus' own words, under labels of which there are few."""

import base64
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families
from serving import Running, ScriptedService, native_service, until
from websockets.sync.client import connect

from auricle.weights import Checkpoint

ASKED = [{"role": "user", "content": "x"}]
CHAT = "/v1/chat/completions"
Counts = dict[tuple[str, ...], float]


def counts(http: httpx.Client) -> Counts:
    """Every sample, by its name and the values of its labels."""
    answer = http.get("/metrics")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    families = text_string_to_metric_families(answer.text)
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_tokens_and_sound_are_counted(
    serve: Callable[..., Running],
    openai_client: Callable[..., openai.OpenAI],
    checkpoint: Checkpoint,
    recordings: list[Path],
):
    started = serve(native_service(checkpoint))
    client = openai_client(started)
    data = base64.b64encode(recordings[1].read_bytes()).decode()
    part = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    asked = [{"role": "user", "content": [part, part]}]
    usage = client.chat.completions.create(model="x", messages=asked, max_tokens=5).usage
    with client.chat.completions.create(model="x", messages=asked, max_tokens=5, stream=True) as chunks:
        assert list(chunks)
    with started.http() as http:
        got = counts(http)
    assert got["auricle_prompt_tokens_total",] == 2 * usage.prompt_tokens
    assert got["auricle_answer_tokens_total",] == 2 * usage.completion_tokens
    assert got["auricle_audio_tokens_total",] == 2 * usage.prompt_tokens_details.audio_tokens > 0
    assert got["auricle_audio_seconds_total",] == pytest.approx(2 * 2 * 2.5)
    assert got["auricle_requests_total", "POST", CHAT, "200"] == 2
    assert got["auricle_request_seconds_count", CHAT] == 2
    assert got["auricle_engine_running",] == got["auricle_engine_waiting",] == 0
    assert got["auricle_cache_recording_hits_total",] > 0
    assert got["process_resident_memory_bytes",] > 0


def test_what_runs_waits_leaves_and_fails_is_counted(serve: Callable[..., Running]):
    gate = threading.Event()
    service = ScriptedService(gate=gate)
    started = serve(service, max_concurrency=2)
    with started.http() as http, started.http(timeout=0.4) as hasty:
        assert ("auricle_engine_running",) not in counts(http)  # this service has no such count
        for _ in range(3):
            with pytest.raises(httpx.ReadTimeout):
                hasty.post(CHAT, json={"messages": ASKED})
        until(lambda: counts(http).get(("auricle_requests_total", "POST", CHAT, "499")) == 3)
        asking = [threading.Thread(target=http.post, args=[CHAT], kwargs={"json": {"messages": ASKED}}) for _ in "123"]
        for thread in asking:
            thread.start()
        until(lambda: counts(http)["auricle_requests_waiting",] == 1)
        assert counts(http)["auricle_requests_running",] == 2
        gate.set()
        for thread in asking:
            thread.join(10)
        got = counts(http)
        assert got["auricle_requests_running",] == got["auricle_requests_waiting",] == 0
        assert got["auricle_requests_total", "POST", CHAT, "200"] == 3
        service.failure = ZeroDivisionError()
        http.post(CHAT, json={"messages": ASKED})
        assert counts(http)["auricle_requests_total", "POST", CHAT, "500"] == 1


def test_live_connections_are_shown(serve: Callable[..., Running]):
    started = serve(ScriptedService())
    with started.http() as http:
        assert counts(http)["auricle_live_connections",] == 0
        with connect(started.url.replace("http", "ws") + "/v1/realtime"):
            until(lambda: counts(http)["auricle_live_connections",] == 1)
        until(lambda: counts(http)["auricle_live_connections",] == 0)


def test_strangers_invent_no_labels(serve: Callable[..., Running]):
    started = serve(ScriptedService())
    with started.http() as http:
        before = {key[1:] for key in counts(http)} | {("GET", "/metrics", "200"), ("/metrics",)}
        for number in range(5):
            http.get(f"/secret/{number}")
            http.request("PROPFIND", "/health")
            http.get(f"/v1/models/model{number}")
        new = {key[1:] for key in counts(http)} - before
    invented = ("secret", "PROPFIND", "model4")
    assert not [label for key in new for label in key if any(word in label for word in invented)]
    routes = {key[1] for key in new if len(key) == 3}
    assert routes == {"other", "/v1/models/{model_id:path}", "/health"}


def test_two_gateways_count_apart(serve: Callable[..., Running]):
    one, two = serve(ScriptedService()), serve(ScriptedService())
    with one.http() as first, two.http() as second:
        first.post(CHAT, json={"messages": ASKED})
        assert counts(first)["auricle_requests_total", "POST", CHAT, "200"] == 1
        assert ("auricle_requests_total", "POST", CHAT, "200") not in counts(second)
