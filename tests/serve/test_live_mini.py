"""Live voice with the embedded model and human speech, through the official client, faster than real time."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from serving import Running, native_service, until

from auricle.assistant import Assistant
from auricle.audio import load
from auricle.engines import NativeEngine, Request, Service, Ticket
from auricle.weights import Checkpoint

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning"),  # in the client itself
]
EXAMPLES = Path(__file__).parents[2] / "examples/recordings"
RATE = 16_000
AT_16_KHZ = {"format": {"type": "audio/pcm", "rate": RATE}}
COMPLETED = "conversation.item.input_audio_transcription.completed"
DELTA = "conversation.item.input_audio_transcription.delta"


def spoken(name: str) -> np.ndarray:
    return load(EXAMPLES / f"{name}.flac").samples


def pause(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE), np.float32)


def int16(samples: np.ndarray) -> np.ndarray:
    return np.round(samples * 32767).astype("<i2")


def speak(connection: Any, samples: np.ndarray, *, milliseconds: int = 20) -> None:
    frame = milliseconds * RATE // 1000
    data = int16(samples)
    for start in range(0, len(data), frame):
        audio = base64.b64encode(data[start : start + frame].tobytes()).decode()
        connection.input_audio_buffer.append(audio=audio)


def received(connection: Any, kind: str, num: int = 1) -> list[Any]:
    """Events up to the num-th of a kind."""
    events: list[Any] = []
    while sum(event.type == kind for event in events) < num:
        events.append(connection.recv())
    return events


def of_type(events: list[Any], kind: str) -> list[Any]:
    return [event for event in events if event.type == kind]


class Watched:
    """A service that remembers its tickets."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.defaults, self.batch_size = service.defaults, service.batch_size
        self.score, self.close = service.score, service.close
        self.tickets: list[Ticket] = []

    def submit(self, request: Request, sampling: Any, index: int = 0) -> Ticket:
        self.tickets.append(self._service.submit(request, sampling, index))
        return self.tickets[-1]


def test_turns_lie_where_speech_is_and_are_transcribed_as_recordings_of_them(
    mini_client: openai.OpenAI, mini_checkpoint: Checkpoint
):
    first, second = spoken("prompt"), spoken("librivox")
    whole = np.concatenate([pause(1.0), first, pause(1.5), second, pause(1.5)])
    with mini_client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        connection.session.update(session={"type": "transcription", "audio": {"input": AT_16_KHZ}})
        speak(connection, whole)
        events = received(connection, COMPLETED, 2)
    starts = [event.audio_start_ms for event in of_type(events, "input_audio_buffer.speech_started")]
    ends = [event.audio_end_ms for event in of_type(events, "input_audio_buffer.speech_stopped")]
    onsets = [1000, 1000 + len(first) / 16 + 1500]
    assert starts == pytest.approx([onset - 300 for onset in onsets], abs=300)
    offsets = [onsets[0] + len(first) / 16, onsets[1] + len(second) / 16]
    assert ends == pytest.approx([offset + 500 for offset in offsets], abs=300)
    assistant, heard = Assistant(NativeEngine(mini_checkpoint)), int16(whole)
    alone = [
        assistant.transcribe((heard[16 * start : 16 * end], RATE)).text for start, end in zip(starts, ends, strict=True)
    ]
    assert [event.transcript for event in of_type(events, COMPLETED)] == alone
    assert all(alone)


def test_partial_words_come_before_the_turn_ends_and_only_grow(mini_server: Running, mini_client: openai.OpenAI):
    whole = np.concatenate([spoken("librivox"), pause(1.0)])
    with mini_client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        connection.session.update(session={"type": "transcription", "audio": {"input": AT_16_KHZ}})
        events = received(connection, "session.updated")
        for start in range(0, len(whole), RATE // 2):
            speak(connection, whole[start : start + RATE // 2])
            connection.session.update(session={"type": "transcription"})  # answered once all before it is heard
            events += received(connection, "session.updated")
            until(lambda: mini_server.gateway.admission.running == 0)
        if not of_type(events, COMPLETED):  # the pause after the turn may have been heard meanwhile
            events += received(connection, COMPLETED)
    kinds = [event.type for event in events]
    assert kinds.index(DELTA) < kinds.index("input_audio_buffer.speech_stopped")
    deltas = [event.delta for event in of_type(events, DELTA)]
    assert all(delta.strip() and (number == 0 or delta.startswith(" ")) for number, delta in enumerate(deltas))
    assert len(deltas) > 1


def test_a_turn_of_more_than_30_s_is_one_transcript(mini_client: openai.OpenAI, mini_checkpoint: Checkpoint):
    sentence = spoken("librivox")
    whole = np.concatenate([pause(0.5), *[sentence] * (31 * RATE // len(sentence) + 1), pause(2.5)])
    patient = AT_16_KHZ | {"turn_detection": {"silence_duration_ms": 2000}}
    with mini_client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        connection.session.update(session={"type": "transcription", "audio": {"input": patient}})
        speak(connection, whole, milliseconds=40)
        events = received(connection, COMPLETED)
    [started] = of_type(events, "input_audio_buffer.speech_started")
    [stopped] = of_type(events, "input_audio_buffer.speech_stopped")
    assert stopped.audio_end_ms - started.audio_start_ms > 31_000
    stretch = int16(whole)[16 * started.audio_start_ms : 16 * stopped.audio_end_ms]
    alone = Assistant(NativeEngine(mini_checkpoint)).transcribe((stretch, RATE))
    assert events[-1].transcript == alone.text
    assert len(alone.text.split()) > 30


def test_a_voice_chat_answers_and_stops_when_it_is_interrupted(
    mini_checkpoint: Checkpoint, serve: Callable[..., Running], openai_client: Callable[..., openai.OpenAI]
):
    service = Watched(native_service(mini_checkpoint))
    server = serve(service, model_name="mini")
    with openai_client(server).realtime.connect(model="gpt-realtime") as connection:
        connection.session.update(session={"type": "realtime", "audio": {"input": AT_16_KHZ}})
        speak(connection, np.concatenate([spoken("prompt"), pause(1.0)]))
        events = received(connection, "response.done")
        answered = events[-1].response
        assert answered.status == "completed"
        assert answered.output[0].content[0].text.strip()
        [started], [stopped] = (of_type(events, f"input_audio_buffer.speech_{kind}") for kind in ("started", "stopped"))
        num_heard = (stopped.audio_end_ms - started.audio_start_ms) / 40
        assert answered.usage.input_token_details.audio_tokens == pytest.approx(num_heard, abs=1)
        sampling = {"temperature": 0.0, "max_output_tokens": 2000}
        question = "Write a very long story about a dog and a cat. Do not stop."
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": question}]}
        connection.conversation.item.create(item=item)
        connection.send({"type": "session.update", "session": {"type": "realtime", **sampling}})
        connection.response.create()
        received(connection, "response.output_text.delta", 3)
        speak(connection, np.concatenate([spoken("prompt"), pause(1.0)]))
        events = received(connection, "response.done")
        assert events[-1].response.status == "cancelled"
        cancelled = events[-1].response.id
        assert service.tickets[1].cancelled
        events = received(connection, "response.done")
        assert not [event for event in of_type(events, "response.output_text.delta") if event.response_id == cancelled]
        assert events[-1].response.status == "completed"
        assert len(service.tickets) == 3
    until(lambda: server.gateway.num_live == server.gateway.admission.running == 0)
