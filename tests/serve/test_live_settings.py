"""What live voice may be told, and what it refuses: settings, items, and messages that are none."""

import base64

import pytest
from live_driving import TURN, Driven, error, of_type, tone, types

# Settings.


def test_an_update_changes_what_it_names_and_nothing_else():
    live = Driven()
    live.update(type="realtime", instructions="Be short.", audio={"input": {"turn_detection": {"threshold": 0.8}}})
    [updated] = live.update(type="realtime", temperature=0.3)
    session = updated["session"]
    assert (session["instructions"], session["temperature"]) == ("Be short.", 0.3)
    detection = session["audio"]["input"]["turn_detection"]
    assert (detection["threshold"], detection["silence_duration_ms"]) == (0.8, 500)


def test_other_encodings_are_heard():
    live = Driven("transcription")
    live.update(type="transcription", audio={"input": {"format": {"type": "audio/pcmu"}}})
    quiet, loud = b"\xff" * 8000, b"\x00\x80" * 4000
    sent = live.speak(quiet, loud, quiet, frame=160)
    assert of_type(sent, "input_audio_buffer.speech_started")[0]["audio_start_ms"] == pytest.approx(700, abs=40)
    assert of_type(sent, "input_audio_buffer.speech_stopped")[0]["audio_end_ms"] == pytest.approx(2500, abs=40)


def test_the_kind_of_session_changes_only_before_the_conversation():
    live = Driven()
    [updated] = live.update(type="transcription", audio={"input": {"transcription": {"language": "German"}}})
    assert updated["session"]["type"] == "transcription"
    assert updated["session"]["audio"]["input"]["transcription"]["language"] == "de"
    live.speak(*TURN)
    assert error(live.update(type="realtime"))["param"] == "session.type"
    assert error(live.send("response.create"))["message"].endswith("this one only transcribes")


REFUSED = [
    ({"tools": [{"type": "function", "name": "f"}]}, "session.tools"),
    ({"tool_choice": "required"}, "session.tool_choice"),
    ({"output_modalities": ["audio"]}, "session.output_modalities"),
    ({"include": ["item.input_audio_transcription.logprobs"]}, "session.include"),
    ({"prompt": {"id": "p"}}, "session.prompt"),
    ({"reasoning": {"effort": "low"}}, "session.reasoning"),
    ({"truncation": {"type": "retention_ratio", "retention_ratio": 0.5}}, "session.truncation"),
    ({"max_output_tokens": 0}, "session.max_output_tokens"),
    ({"temperature": 3}, "session.temperature"),
    ({"voice": "alloy"}, "session.voice"),
    ({"audio": {"input": {"noise_reduction": {"type": "near_field"}}}}, "session.audio.input.noise_reduction"),
    ({"audio": {"input": {"format": {"type": "audio/opus"}}}}, "session.audio.input.format.type"),
    ({"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}, "session.audio.input.turn_detection.type"),
    ({"audio": {"input": {"turn_detection": {"threshold": 1}}}}, "session.audio.input.turn_detection.threshold"),
    (
        {"audio": {"input": {"turn_detection": {"idle_timeout_ms": 5000}}}},
        "session.audio.input.turn_detection.idle_timeout_ms",
    ),
    ({"audio": {"input": {"transcription": {"keywords": ["a"]}}}}, "session.audio.input.transcription.keywords"),
]


@pytest.mark.parametrize(("fields", "param"), REFUSED, ids=[param for _, param in REFUSED])
def test_what_would_change_the_answer_is_refused_by_name_and_changes_nothing(fields, param):
    live = Driven()
    before = live.update(type="realtime")
    refused = error(live.send("session.update", event_id="mine", session={"type": "realtime", **fields}))
    assert refused["param"].startswith(param)
    assert refused["event_id"] == "mine"
    assert param in refused["message"]
    assert live.update(type="realtime")[0]["session"] == before[0]["session"]


@pytest.mark.parametrize(
    "encoding",
    [{"type": "audio/pcm", "rate": 4000}, {"type": "audio/pcmu", "rate": 16000}, {"type": "audio/pcm", "rate": "a"}],
)
def test_a_wrong_rate_is_refused(encoding):
    assert error(Driven().update(type="realtime", audio={"input": {"format": encoding}}))["param"].startswith("session")


def test_neutral_values_of_what_is_not_supported_are_taken():
    sent = Driven().update(
        type="realtime",
        model="gpt-realtime",
        tools=[],
        tool_choice="auto",
        parallel_tool_calls=True,
        tracing=None,
        include=None,
        output_modalities=["text"],
        max_output_tokens="inf",
        truncation="auto",
        audio={"input": {"noise_reduction": None}, "output": {"voice": "marin", "speed": 1.0}},
    )
    assert types(sent) == ["session.updated"]


# What a stranger may send.


MALFORMED = [
    ("{", "invalid_json"),
    ("[1]", "missing_type"),
    ('{"type": 3}', "missing_type"),
    ('{"type": "output_audio_buffer.clear"}', "unknown_event"),
    ('{"type": "conversation.item.retrieve", "item_id": "a"}', "unknown_event"),
    ('{"type": "conversation.item.truncate", "item_id": "a"}', "unknown_event"),
    ('{"type": "response.create", "response": {"temperature": NaN}}', "invalid_json"),
    ('{"type": "response.create", "response": {"temperature": 1e999}}', "invalid_json"),
    ('{"type": "session.update", "session": {"type": "realtime", "instructions": "\\ud800"}}', "invalid_text"),
    ('{"type": "session.update"}', "invalid_value"),
    ('{"type": "session.update", "session": {"type": "translation"}}', "invalid_value"),
    ('{"type": "input_audio_buffer.append"}', "invalid_audio"),
    ('{"type": "input_audio_buffer.append", "audio": "%%%"}', "invalid_audio"),
    ('{"type": "input_audio_buffer.append", "audio": "AAAA"}', "invalid_audio"),
    ('{"type": "input_audio_buffer.append", "audio": 7}', "invalid_audio"),
    ('{"type": "response.create"}', "nothing_said"),
    ('{"type": "response.create", "response": 0}', "invalid_value"),
    ('{"type": "response.create", "response": {"input": []}}', "nothing_said"),
    ('{"type": "conversation.item.create"}', "invalid_value"),
    ('{"type": "conversation.item.create", "item": {"type": "function_call"}}', "invalid_value"),
    ('{"type": "conversation.item.create", "item": {"type": "item_reference", "id": "a"}}', "invalid_value"),
    ('{"type": "conversation.item.create", "item": {"type": "message", "role": "user"}}', "missing_content"),
    ("[" * 100_000, "invalid_json"),
    ('{"type": "session.update", "session": ' + '{"a":' * 800 + "1" + "}" * 801, "invalid_value"),
    (b"odd", "invalid_audio"),
]


@pytest.mark.parametrize(("message", "code"), MALFORMED, ids=[str(message[:60]) for message, _ in MALFORMED])
def test_malformed_messages_are_answered_with_an_error_and_the_session_goes_on(message, code):
    live = Driven()
    assert error(live.raw(message))["code"] == code
    assert types(live.speak(*TURN))[-1] == "response.created"


@pytest.mark.parametrize(
    ("role", "part", "code"),
    [
        ("user", {"type": "output_text", "text": "a"}, "invalid_value"),
        ("user", {"type": "input_text", "text": " "}, "invalid_value"),
        ("user", {"type": "input_audio", "audio": "AA=="}, "invalid_audio"),
        ("user", {"type": "input_audio", "audio": "AAAA" * 20}, "audio_too_short"),
        ("user", {"type": "input_image", "image_url": "data:"}, "invalid_value"),
        ("assistant", {"type": "input_audio", "audio": "AAAA"}, "invalid_value"),
        ("system", {"type": "output_text", "text": "a"}, "invalid_value"),
    ],
)
def test_items_that_cannot_be_are_refused(role, part, code):
    live = Driven()
    item = {"type": "message", "role": role, "content": [part]}
    assert error(live.send("conversation.item.create", item=item))["code"] == code
    assert live.session._conversation.items == ()


def test_a_recording_in_an_item_is_heard():
    live = Driven()
    audio = {"type": "input_audio", "audio": base64.b64encode(tone(1.0)).decode()}
    added, _ = live.send("conversation.item.create", item={"type": "message", "role": "user", "content": [audio]})
    assert added["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    [item] = live.session._conversation.items
    assert item.parts[0].duration_s == pytest.approx(1.0, abs=0.01)
