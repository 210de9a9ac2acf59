"""Live voice over a real WebSocket of a real server, with the official client and with rude ones."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import PATIENCE_S, Running, ScriptedService, running, until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from auricle.audio import load
from auricle.conversation import RawPrompt
from auricle.serve.live.connection import Patience
from auricle.serve.live.session import LiveSession

SPEECH = Path(__file__).parents[2] / "examples/recordings/prompt.flac"
FRAME = 1280  # bytes: 40 ms at 16 kHz
AT_16_KHZ = {"format": {"type": "audio/pcm", "rate": 16_000}}
WORDS = ("Please", " leave", " a", " message")


@pytest.fixture(scope="module")
def speech() -> bytes:
    """Half a second of silence, somebody who speaks, a second of silence; PCM16 at 16 kHz."""
    samples = np.concatenate([np.zeros(8000), load(SPEECH).samples, np.zeros(16_000)])
    return np.round(samples * 32767).astype("<i2").tobytes()


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections look at the time more often than they need to."""
    monkeypatch.setattr("auricle.serve.live.connection._TICK_S", 0.05)


@pytest.fixture(scope="module")
def shared() -> Iterator[Running]:
    """For tests that neither count nor close anything."""
    with running(ScriptedService(said=hear_or_chat)) as started:
        yield started


def frames(sound: bytes) -> list[bytes]:
    return [sound[start : start + FRAME] for start in range(0, len(sound), FRAME)]


def hear_or_chat(request: Any, sampling: Any) -> tuple[str, ...]:
    return WORDS if isinstance(request.prompt, RawPrompt) else ("Good", " day", ".")


@contextmanager
def opened(server: Running, query: str = "", **options: Any) -> Iterator[ClientConnection]:
    """A plain WebSocket, after session.created."""
    url = f"{server.url.replace('http', 'ws')}/v1/realtime{query}"
    with connect(url, open_timeout=PATIENCE_S, max_size=None, **options) as socket:
        assert received(socket)["type"] == "session.created"
        yield socket


def received(socket: ClientConnection) -> dict[str, Any]:
    return json.loads(socket.recv(timeout=PATIENCE_S))


def received_until(socket: ClientConnection, kind: str) -> list[dict[str, Any]]:
    events = [received(socket)]
    while events[-1]["type"] != kind:
        events.append(received(socket))
    return events


def send(socket: ClientConnection, kind: str, **fields: Any) -> None:
    socket.send(json.dumps({"type": kind, **fields}))


def speak(socket: ClientConnection, sound: bytes) -> None:
    for frame in frames(sound):
        send(socket, "input_audio_buffer.append", audio=base64.b64encode(frame).decode())


def start(socket: ClientConnection, kind: str = "realtime") -> None:
    send(socket, "session.update", session={"type": kind, "audio": {"input": AT_16_KHZ}})
    received_until(socket, "session.updated")


def nothing_runs(server: Running, service: ScriptedService) -> None:
    until(lambda: server.gateway.num_live == 0)
    until(lambda: server.gateway.admission.running == 0 and server.gateway.admission.waiting == 0)
    until(lambda: service.num_unfinished == 0)


@pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")  # in the client itself
def test_the_official_client_hears_partial_and_final_words(shared, openai_client, speech):
    client = openai_client(shared)
    with client.realtime.connect(model="gpt-realtime", extra_query={"intent": "transcription"}) as connection:
        assert connection.recv().session.type == "transcription"
        connection.session.update(session={"type": "transcription", "audio": {"input": AT_16_KHZ}})
        for frame in frames(speech):
            connection.input_audio_buffer.append(audio=base64.b64encode(frame).decode())
        events = []
        for event in connection:
            events.append(event)
            if event.type == "conversation.item.input_audio_transcription.completed":
                break
    assert events[-1].transcript == "".join(WORDS)
    assert "".join(event.delta for event in events if event.type.endswith("transcription.delta")) == "".join(WORDS)
    assert {event.type for event in events} >= {
        "session.updated",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
    }


@pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")  # in the client itself
def test_the_official_client_chats_by_voice_over_many_turns(serve, openai_client, speech):
    service = ScriptedService(said=hear_or_chat)
    with openai_client(serve(service)).realtime.connect(model="gpt-realtime") as connection:
        connection.session.update(session={"type": "realtime", "audio": {"input": AT_16_KHZ}})
        for turn in range(3):
            for frame in frames(speech):
                connection.input_audio_buffer.append(audio=base64.b64encode(frame).decode())
            said = ""
            for event in connection:
                if event.type == "response.output_text.delta":
                    said += event.delta
                if event.type == "response.done":
                    break
            assert said == "Good day."
            assert event.response.status == "completed"
            assert event.response.usage.output_tokens == 3
            assert len(service.asked[turn][0].audios) == turn + 1


def test_sound_in_bare_binary_messages_is_heard(shared, speech):
    with opened(shared, "?intent=transcription") as socket:
        start(socket, "transcription")
        for frame in frames(speech):
            socket.send(frame)
        events = received_until(socket, "conversation.item.input_audio_transcription.completed")
    assert events[-1]["transcript"] == "".join(WORDS)


def test_speaking_again_cancels_the_answer_in_the_engine(serve, speech):
    service = ScriptedService(pieces=["word "] * 2000, step_s=0.01)
    server = serve(service)
    with opened(server) as socket:
        start(socket)
        speak(socket, speech)
        received_until(socket, "response.output_text.delta")
        speak(socket, speech[: len(speech) // 2])
        events = received_until(socket, "response.done")
        assert events[-1]["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        until(lambda: service.dropped == service.tickets[:1])
        until(lambda: server.gateway.admission.running == 0)
        send(socket, "input_audio_buffer.clear")
        after = received_until(socket, "input_audio_buffer.cleared")
        assert not any(event["type"] == "response.output_text.delta" for event in after)
        said = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
        text = events[-1]["response"]["output"][0]["content"][0]["text"]
        assert text == "word " + said
        assert 1 <= text.count("word") < 2000
    nothing_runs(server, service)


@pytest.mark.parametrize("manner", ["says goodbye", "is gone"])
def test_a_client_that_leaves_leaves_nothing_running(serve, speech, manner):
    service = ScriptedService(pieces=["word "] * 2000, step_s=0.01)
    server = serve(service)
    with opened(server) as socket:
        start(socket)
        speak(socket, speech)
        received_until(socket, "response.output_text.delta")
        assert server.gateway.num_live == server.gateway.admission.running == 1
        if manner == "is gone":
            socket.socket.close()
        else:
            socket.close()
        nothing_runs(server, service)
    assert len(service.dropped) == 1


def test_a_connection_that_only_listens_takes_no_turn(serve, speech):
    server = serve(ScriptedService(said=hear_or_chat), max_concurrency=1, max_queue=0)
    with opened(server) as _, opened(server) as socket:
        assert server.gateway.admission.running == 0
        start(socket)
        speak(socket, speech)
        assert received_until(socket, "response.done")[-1]["response"]["status"] == "completed"


def test_a_busy_server_transcribes_as_soon_as_it_can_and_does_not_guess(serve, speech, monkeypatch):
    monkeypatch.setattr("auricle.serve.live.connection._LONGEST_RETRY_S", 0.02)
    monkeypatch.setattr("auricle.serve.live.connection._TRIES", 1000)
    gate, service = threading.Event(), ScriptedService(said=hear_or_chat)
    server = serve(service, max_concurrency=1, max_queue=0)
    service.gate = gate
    with opened(server) as chatting, opened(server, "?intent=transcription") as socket:
        send(chatting, "conversation.item.create", item=_text_item("Hello?"))
        send(chatting, "response.create")
        until(lambda: server.gateway.admission.running == 1)
        start(socket, "transcription")
        speak(socket, speech)
        received_until(socket, "conversation.item.done")
        time.sleep(0.1)
        assert len(service.asked) == 1
        gate.set()
        completed = received_until(socket, "conversation.item.input_audio_transcription.completed")[-1]
        assert completed["transcript"] == "".join(WORDS)


def test_an_answer_that_finds_no_turn_fails_and_can_be_asked_for_again(serve, speech, monkeypatch):
    gate, service = threading.Event(), ScriptedService(said=hear_or_chat)
    server = serve(service, max_concurrency=1, max_queue=0)
    service.gate = gate
    with opened(server) as one, opened(server) as other:
        for socket in (one, other):
            send(socket, "conversation.item.create", item=_text_item("Hello?"))
            send(socket, "response.create")
            received_until(socket, "response.created")
            until(lambda: server.gateway.admission.running == 1)
        failed = received_until(other, "response.done")[-1]["response"]
        assert failed["status_details"]["error"]["code"] == "rate_limit_exceeded"
        gate.set()
        received_until(one, "response.done")
        send(other, "response.create")
        assert received_until(other, "response.done")[-1]["response"]["status"] == "completed"


def test_more_connections_than_max_live_are_sent_away(serve):
    server = serve(ScriptedService(), max_live=1)
    with opened(server):
        assert refused(server).status_code == 429
        assert json.loads(refused(server).body)["error"]["code"] == "rate_limit_exceeded"
        assert int(refused(server).headers["Retry-After"]) >= 1
    until(lambda: server.gateway.num_live == 0)
    with opened(server):
        pass


def test_an_unknown_intent_is_refused(shared):
    assert refused(shared, "?intent=translation").status_code == 400


def test_the_key_comes_in_a_header_or_as_browsers_send_it(serve):
    server = serve(ScriptedService(), api_key="secret")
    assert refused(server).status_code == 401
    with opened(server, additional_headers={"Authorization": "Bearer secret"}):
        pass
    protocols = ["realtime", "openai-insecure-api-key.secret"]
    with opened(server, subprotocols=protocols) as socket:
        assert socket.subprotocol == "realtime"


GARBAGE: list[str | bytes] = ["", "{", "null", '{"type": 1}', '{"type": "nothing"}', b"odd", "[" * 30_000]


@pytest.mark.parametrize("message", GARBAGE, ids=[str(message[:20]) for message in GARBAGE])
def test_garbage_is_answered_with_an_error_and_the_connection_goes_on(server, message):
    with opened(server) as socket:
        socket.send(message)
        assert received(socket)["type"] == "error"
        start(socket)


def test_a_huge_message_closes_the_connection_and_leaves_the_server_up(shared):
    with opened(shared) as socket:
        with suppress(ConnectionClosed):  # it may be closed before all is sent
            socket.send(b"\0" * (2**24 + 2))
        assert close_code(socket) == 1009
    with opened(shared) as socket:
        start(socket)


def test_a_message_over_the_limit_of_live_voice_is_told_why(shared, monkeypatch):
    monkeypatch.setattr("auricle.serve.live._PATIENCE", Patience(message_bytes=1000))
    with opened(shared) as socket:
        socket.send(b"\0" * 1002)
        assert "expected at most 1000" in received(socket)["error"]["message"]
        assert close_code(socket) == 1009


def test_a_client_that_sends_nothing_is_sent_away(shared, monkeypatch):
    monkeypatch.setattr("auricle.serve.live._PATIENCE", Patience(idle_s=0.1))
    with opened(shared) as socket:
        assert received(socket)["error"]["code"] == "idle_timeout"
        assert close_code(socket) == 1001


def test_a_client_that_does_not_read_is_sent_away(serve, monkeypatch):
    monkeypatch.setattr("auricle.serve.live._PATIENCE", Patience(send_s=0.2))
    service = ScriptedService(pieces=["x" * 2**20] * 64)
    server = serve(service)
    with opened(server, compression=None, close_timeout=0.1) as socket:
        send(socket, "conversation.item.create", item=_text_item("Hello?"))
        send(socket, "response.create")
        nothing_runs(server, service)


def test_a_stopping_server_finishes_the_answer_and_closes(serve):
    service = ScriptedService(pieces=["word "] * 15, step_s=0.02)
    server = serve(service)
    with opened(server) as socket:
        send(socket, "conversation.item.create", item=_text_item("Hello?"))
        send(socket, "response.create")
        received_until(socket, "response.output_text.delta")
        server.gateway.admission.drain()
        events = received_until(socket, "response.done")
        assert [event["error"]["code"] for event in events if event["type"] == "error"] == ["server_stopping"]
        assert events[-1]["response"]["status"] == "completed"
        assert close_code(socket) == 1012
    until(lambda: server.gateway.num_live == 0)
    assert refused(server).status_code == 503


def test_a_stopping_server_finishes_turns_that_wait_for_the_words_of_earlier_ones(serve, speech):
    service = ScriptedService(gate=threading.Event(), pieces=WORDS)
    server = serve(service)
    with opened(server, "?intent=transcription") as socket:
        _commit(socket, speech, times=2)
        server.gateway.admission.drain()
        assert received_until(socket, "error")[-1]["error"]["code"] == "server_stopping"
        service.gate.set()
        for _ in range(2):
            completed = received_until(socket, "conversation.item.input_audio_transcription.completed")[-1]
            assert completed["transcript"] == "".join(WORDS)
        assert close_code(socket) == 1012
    nothing_runs(server, service)


def test_what_is_sent_to_a_session_far_behind_is_dropped_and_told_and_pings_are_answered(serve, speech):
    service = ScriptedService(gate=threading.Event(), pieces=WORDS)
    server = serve(service)
    with opened(server, "?intent=transcription") as socket:
        _commit(socket, speech, times=4)
        for _ in range(3):
            socket.send(b"\0" * 2**21)
        told = received_until(socket, "error")[-1]["error"]
        assert told["code"] == "rate_limit_exceeded"
        assert told["message"].endswith("dropped 1 messages")
        assert socket.ping().wait(PATIENCE_S)
        service.gate.set()
        for _ in range(4):
            received_until(socket, "conversation.item.input_audio_transcription.completed")
        send(socket, "input_audio_buffer.clear")
        received_until(socket, "input_audio_buffer.cleared")  # it goes on
    nothing_runs(server, service)


def test_a_client_that_leaves_a_session_far_behind_is_noticed(serve, speech):
    service = ScriptedService(gate=threading.Event())
    server = serve(service)
    with opened(server, "?intent=transcription") as socket:
        _commit(socket, speech, times=4)
        for _ in range(20):
            socket.send(bytes(FRAME))
        socket.socket.close()
        until(lambda: server.gateway.num_live == 0)
        service.gate.set()
    nothing_runs(server, service)


def test_a_fast_client_is_not_dropped_while_its_sound_is_heard(shared):
    """Eleven minutes at once: far more than what may wait."""
    with opened(shared, "?intent=transcription") as socket:
        push_to_talk(socket)
        for _ in range(20):
            socket.send(bytes(2**20))
            send(socket, "input_audio_buffer.clear")
        events = [event for _ in range(20) for event in received_until(socket, "input_audio_buffer.cleared")]
        assert "error" not in {event["type"] for event in events}


def test_a_failure_of_the_engine_fails_the_answer_alone(serve):
    service = ScriptedService(failure=RuntimeError("out of memory"), fail_after=1)
    with opened(serve(service)) as socket:
        send(socket, "conversation.item.create", item=_text_item("Hello?"))
        send(socket, "response.create")
        failed = received_until(socket, "response.done")[-1]["response"]
        assert failed["status"] == "failed"
        assert "out of memory" not in json.dumps(failed)
        service.failure = None
        send(socket, "response.create")
        assert received_until(socket, "response.done")[-1]["response"]["status"] == "completed"


def test_a_failure_of_the_logic_ends_the_connection_with_a_word(serve, monkeypatch):
    def fail(self: LiveSession, message: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(LiveSession, "take", fail)
    server = serve(ScriptedService())
    with opened(server) as socket:
        send(socket, "response.create")
        assert received(socket)["error"]["type"] == "server_error"
        assert close_code(socket) == 1011
    until(lambda: server.gateway.num_live == 0)


def refused(server: Running, query: str = "") -> Any:
    with pytest.raises(InvalidStatus) as refusal, opened(server, query):
        pass
    return refusal.value.response


def push_to_talk(socket: ClientConnection) -> None:
    settings = {"type": "transcription", "audio": {"input": {**AT_16_KHZ, "turn_detection": None}}}
    send(socket, "session.update", session=settings)
    received_until(socket, "session.updated")


def _commit(socket: ClientConnection, sound: bytes, *, times: int) -> None:
    push_to_talk(socket)
    for _ in range(times):
        socket.send(sound)
        send(socket, "input_audio_buffer.commit")
        received_until(socket, "conversation.item.done")


def close_code(socket: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as closed:
        received_until(socket, "never")
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


def _text_item(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
