"""The logic of live voice: events in, events and jobs out."""

import base64

import pytest
from live_driving import Driven, deltas, error, of_type, silence, tone, types

from auricle.conversation import Audio, Message
from auricle.serve.errors import ApiError
from auricle.serve.live.conversation import ways
from auricle.serve.live.jobs import Guess, Respond, Said, Transcribe

DONE = "conversation.item.input_audio_transcription.completed"
TURN = [silence(0.5), tone(1.0), silence(0.8)]
COMMITTED = ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]


def prompt(job: Respond) -> tuple[Message, ...]:
    """All that the model is asked."""
    return next(ways(job.items, job.instructions)).request.prompt


# Transcription.


def test_a_turn_of_speech_is_announced_committed_and_transcribed():
    live = Driven("transcription")
    sent = live.speak(*TURN)
    assert types(sent) == ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", *COMMITTED]
    started, stopped, committed, *_ = sent
    assert started["audio_start_ms"] == pytest.approx(500 - 300, abs=40)
    assert stopped["audio_end_ms"] == pytest.approx(1500 + 500, abs=40)
    assert len({event["item_id"] for event in (started, stopped, committed)}) == 1
    [job] = live.running(Transcribe)
    assert job.waveform.duration_s == pytest.approx(1.8, abs=0.08)
    delta, done = live.transcribed("hello there")
    assert (delta["delta"], done["transcript"], done["item_id"]) == ("hello there", "hello there", started["item_id"])
    assert done["usage"] == {"type": "duration", "seconds": round(job.waveform.duration_s, 3)}
    assert not live.jobs


def test_turns_follow_each_other_and_their_transcripts_come_one_by_one_in_order():
    live = Driven("transcription")
    live.speak(*TURN, *TURN, *TURN)
    ids = [event["item_id"] for event in of_type(live.events, "input_audio_buffer.committed")]
    before = [event["previous_item_id"] for event in of_type(live.events, "input_audio_buffer.committed")]
    assert before == [None, *ids[:2]]
    for text in ("one", "two", "three"):
        live.transcribed(text)
    assert [(event["item_id"], event["transcript"]) for event in of_type(live.events, DONE)] == [
        *zip(ids, ("one", "two", "three"), strict=True)
    ]


def test_partial_words_come_while_speech_goes_on_and_the_final_text_completes_them():
    live = Driven("transcription")
    live.speak(silence(0.5), tone(1.0))
    live.guessed("hello the")
    live.speak(tone(1.0))
    [event] = live.guessed("hello there my")
    assert event["delta"] == "hello"
    live.speak(tone(1.0))
    assert deltas(live.guessed("hello there my friend")) == " there my"
    live.speak(silence(0.8))
    live.transcribed("hello there my friends")
    assert deltas(live.events) == "hello there my friends"
    [done] = of_type(live.events, DONE)
    assert {done["item_id"]} == {event["item_id"] for event in live.events if "item_id" in event}


def test_a_guess_runs_alone_and_hears_at_least_800_ms_more_than_the_last():
    live = Driven("transcription")
    live.speak(silence(0.5), tone(4.0))
    [guess] = live.running(Guess)
    assert 0.8 <= guess.waveform.duration_s < 1.0
    live.guessed("a")
    assert not live.running(Guess)  # it waits for the next sound
    live.speak(tone(0.1))
    [guess] = live.running(Guess)
    assert guess.waveform.duration_s == pytest.approx(4.4, abs=0.1)


def test_a_guess_that_cannot_run_is_dropped_silently_and_tried_with_more_sound():
    live = Driven("transcription")
    live.speak(silence(0.5), tone(1.0))
    assert live.failed(Guess, ApiError(429, "busy")) == []
    live.speak(tone(0.2))
    assert not live.running(Guess)
    live.speak(tone(0.2))
    assert len(live.running(Guess)) == 1


def test_the_end_of_a_turn_cancels_its_guess_and_a_late_one_is_not_heard():
    live = Driven("transcription")
    live.speak(silence(0.5), tone(1.0))
    [guess] = live.running(Guess)
    live.speak(silence(0.8))
    assert live.cancelled == [guess.id]
    assert live.report(Said(guess.id, "late")) == []


def test_in_a_long_turn_settled_segments_are_not_heard_again():
    live = Driven("transcription")
    live.speak(silence(0.5), tone(3.0))
    live.guessed("x")
    live.speak(tone(0.1))
    live.guessed("one two three", segments=((0.3, 1.0, "one two"), (2.0, 3.0, "three")))
    live.speak(tone(1.0))
    [guess] = live.running(Guess)
    assert guess.waveform.duration_s == pytest.approx(3.4 + 0.8 - 2.0, abs=0.1)
    assert deltas(live.guessed("three four")) == "one two three"
    live.speak(silence(0.8))
    live.transcribed("one two three four")
    assert deltas(live.events) == "one two three four"


def test_where_guesses_were_wrong_the_final_text_stands_in_completed():
    live = Driven("transcription")
    for text in ("he sells", "he sells sea"):
        live.speak(tone(1.0))
        live.guessed(text)
    live.speak(silence(0.8))
    [done] = live.transcribed("she sells sea shells")
    assert (deltas(live.events), done["transcript"]) == ("he sells", "she sells sea shells")


def test_a_transcript_that_fails_says_so_and_the_next_goes_on():
    live = Driven("transcription")
    live.speak(*TURN, *TURN)
    [failed] = live.failed(Transcribe, ApiError(429, "the server is busy", code="rate_limit_exceeded"))
    assert failed["type"].endswith("input_audio_transcription.failed")
    assert failed["error"]["code"] == "rate_limit_exceeded"
    live.transcribed("two")
    assert [event["transcript"] for event in of_type(live.events, DONE)] == ["two"]


def test_a_client_that_is_far_ahead_is_read_no_further():
    live = Driven("transcription")
    live.speak(*TURN * 3)
    assert not live.session.is_behind
    live.speak(*TURN)
    assert live.session.is_behind
    live.transcribed("one")
    assert not live.session.is_behind


# Push to talk.


def test_without_turn_detection_only_commit_ends_a_turn():
    live = Driven("transcription")
    live.update(type="transcription", audio={"input": {"turn_detection": None, "transcription": {"language": "es"}}})
    assert types(live.speak(*TURN)) == []
    assert types(live.send("input_audio_buffer.commit")) == COMMITTED
    [job] = live.running(Transcribe)
    assert (job.wanted.language, round(job.waveform.duration_s, 2)) == ("es", 2.3)


def test_a_commit_of_nothing_or_too_little_is_refused():
    live = Driven()
    live.update(type="realtime", audio={"input": {"turn_detection": None}})
    for sound in (b"", tone(0.05)):
        live.raw(sound)
        assert error(live.send("input_audio_buffer.commit", event_id="mine")) == {
            "type": "invalid_request_error",
            "code": "input_audio_buffer_commit_empty",
            "message": f"the buffer holds {49 if sound else 0} ms; a commit needs at least 100 ms",
            "param": None,
            "event_id": "mine",
        }


def test_a_commit_in_chat_waits_for_response_create():
    live = Driven()
    live.update(type="realtime", audio={"input": {"turn_detection": None}})
    live.raw(tone(1.0))
    live.send("input_audio_buffer.commit")
    assert not live.jobs
    assert types(live.send("response.create")) == ["response.created"]
    assert live.running(Respond)


def test_clear_forgets_what_was_heard():
    live = Driven("transcription")
    live.speak(silence(0.5), tone(1.0))
    [guess] = live.running(Guess)
    assert types(live.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    assert live.cancelled == [guess.id]
    assert types(live.speak(silence(1.0))) == []
    assert of_type(live.speak(*TURN), "input_audio_buffer.speech_started")[0]["audio_start_ms"] >= 2500


def test_a_full_buffer_takes_no_more_and_stays_whole():
    live = Driven(longest_s=2.0)
    live.update(type="realtime", audio={"input": {"turn_detection": None}})
    live.raw(tone(2.1))
    assert error(live.raw(tone(1.0)))["code"] == "input_audio_buffer_full"
    live.send("input_audio_buffer.commit")
    assert live.session._conversation.items[0].parts[0].duration_s == pytest.approx(2.1, abs=0.01)
    assert live.raw(tone(1.0)) == []


def test_bare_bytes_are_sound_too():
    one, other = Driven("transcription"), Driven("transcription")
    one.speak(*TURN)
    other.raw(b"".join(TURN))
    assert types(one.events) == types(other.events)
    [first], [second] = one.running(Transcribe), other.running(Transcribe)
    assert first.waveform.samples.tobytes() == second.waveform.samples.tobytes()


# Voice chat.


def test_speech_is_answered_piece_by_piece():
    live = Driven()
    sent = live.speak(*TURN)
    assert types(sent)[-1] == "response.created"
    heard = of_type(sent, "input_audio_buffer.committed")[0]["item_id"]
    said = live.says("Good", " day")
    assert types(said) == [
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
    ]
    assert said[1]["previous_item_id"] == heard
    ended = live.answered("Good day")
    assert types(ended) == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    response = ended[-1]["response"]
    assert (response["status"], response["id"]) == ("completed", sent[-1]["response"]["id"])
    assert response["output"][0]["content"] == [{"type": "output_text", "text": "Good day"}]
    assert response["usage"]["input_token_details"] == {"audio_tokens": 25, "text_tokens": 15, "cached_tokens": 0}
    assert (response["usage"]["output_tokens"], response["usage"]["total_tokens"]) == (5, 45)


def test_earlier_turns_and_their_recordings_stay_in_the_conversation():
    live = Driven()
    live.update(type="realtime", instructions="Be short.")
    for text in ("One.", "Two."):
        live.speak(*TURN)
        live.says(text)
        live.answered(text)
    live.speak(*TURN)
    [job] = live.running(Respond)
    audio = Message("user", (Audio(),))
    assert prompt(job) == (
        Message("system", ("Be short.",)),
        audio,
        Message("assistant", ("One.",)),
        audio,
        Message("assistant", ("Two.",)),
        audio,
    )
    assert len(next(ways(job.items, job.instructions)).request.audios) == 3


def test_speaking_again_interrupts_and_what_was_said_stays():
    live = Driven()
    live.speak(*TURN)
    live.says("I was about to")
    [job] = live.running(Respond)
    sent = live.speak(silence(0.3), tone(0.5))
    assert live.cancelled == [job.id]
    [done] = of_type(sent, "response.done")
    assert done["response"]["status"] == "cancelled"
    assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert done["response"]["output"][0]["status"] == "incomplete"
    assert live.report(Said(job.id, " say more")) == []
    live.speak(tone(0.5), silence(0.8))
    [again] = live.running(Respond)
    assert prompt(again)[1] == Message("assistant", ("I was about to",))


def test_an_answer_interrupted_before_its_first_word_leaves_no_turn():
    live = Driven()
    live.speak(*TURN)
    live.speak(*TURN)
    [done] = of_type(live.events, "response.done")
    assert (done["response"]["status"], done["response"]["output"]) == ("cancelled", [])
    [job] = live.running(Respond)
    assert prompt(job) == (Message("user", (Audio(), Audio())),)


def test_without_interrupt_response_the_answer_goes_on():
    live = Driven()
    live.update(type="realtime", audio={"input": {"turn_detection": {"interrupt_response": False}}})
    live.speak(*TURN)
    sent = live.speak(*TURN)
    assert of_type(sent, "error")[0]["error"]["code"] == "conversation_already_has_active_response"
    assert live.cancelled == []
    live.says("yes")
    assert of_type(live.answered("yes"), "response.done")[0]["response"]["status"] == "completed"


def test_without_create_response_speech_only_joins_the_conversation():
    live = Driven()
    live.update(type="realtime", audio={"input": {"turn_detection": {"create_response": False}}})
    assert "input_audio_buffer.committed" in types(live.speak(*TURN))
    assert not live.jobs


def test_a_chat_that_asks_for_it_gets_transcripts_too():
    live = Driven()
    live.update(type="realtime", audio={"input": {"transcription": {"model": "whisper-1"}}})
    live.speak(*TURN)
    live.transcribed("hello")
    assert [event["transcript"] for event in of_type(live.events, DONE)] == ["hello"]
    assert live.running(Respond)


def test_text_turns_and_response_create():
    live = Driven()
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello?"}]}
    added, done = live.send("conversation.item.create", item=item)
    assert (added["type"], done["type"]) == ("conversation.item.added", "conversation.item.done")
    live.send("response.create", response={"instructions": "Shout.", "max_output_tokens": 9, "temperature": 0.5})
    [job] = live.running(Respond)
    assert prompt(job) == (Message("system", ("Shout.",)), Message("user", ("Hello?",)))
    assert (job.sampling.max_new_tokens, job.sampling.temperature) == (9, 0.5)


def test_items_are_put_where_the_client_says_and_can_be_deleted():
    live = Driven()

    def put(text: str, **fields: object) -> dict:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], "id": text}
        return live.send("conversation.item.create", item=item, **fields)[0]

    assert put("b")["previous_item_id"] is None
    assert put("d")["previous_item_id"] == "b"
    assert put("a", previous_item_id="root")["previous_item_id"] is None
    assert put("c", previous_item_id="b")["previous_item_id"] == "b"
    assert put("c")["error"]["code"] == "item_exists"
    assert put("e", previous_item_id="none")["error"]["code"] == "item_not_found"
    assert types(live.send("conversation.item.delete", item_id="b")) == ["conversation.item.deleted"]
    assert error(live.send("conversation.item.delete", item_id="b"))["code"] == "item_not_found"
    assert [item.id for item in live.session._conversation.items] == ["a", "c", "d"]


def test_a_response_of_its_own_context_leaves_the_conversation_alone():
    live = Driven()
    live.send("conversation.item.create", item=_text("Remember me.", id="first"))
    asked = [_text("Only this."), {"type": "item_reference", "id": "first"}]
    [created] = live.send("response.create", response={"conversation": "none", "input": asked, "metadata": {"a": "b"}})
    assert (created["response"]["conversation_id"], created["response"]["metadata"]) == (None, {"a": "b"})
    [job] = live.running(Respond)
    assert prompt(job) == (Message("user", ("Only this.", "Remember me.")),)
    live.says("Sure")
    live.answered("Sure")
    assert len(live.session._conversation.items) == 1


def test_response_cancel_ends_the_answer_and_nothing_else():
    live = Driven()
    assert error(live.send("response.cancel"))["code"] == "response_cancel_not_active"
    live.speak(*TURN)
    assert error(live.send("response.cancel", response_id="other"))["code"] == "response_cancel_not_active"
    live.says("One")
    done = live.send("response.cancel")[-1]
    assert done["response"]["status_details"]["reason"] == "client_cancelled"
    assert not live.jobs


def test_an_answer_cut_off_is_incomplete_and_one_that_fails_says_why():
    live = Driven()
    live.speak(*TURN)
    live.says("So long")
    assert live.answered("So long", finish_reason="length")[-1]["response"]["status_details"] == {
        "type": "incomplete",
        "reason": "max_output_tokens",
    }
    live.speak(*TURN)
    [done] = live.failed(Respond, ApiError(429, "the server is busy", code="rate_limit_exceeded"))
    assert done["response"]["status_details"] == {
        "type": "failed",
        "error": {"type": "rate_limit_error", "code": "rate_limit_exceeded", "message": "the server is busy"},
    }
    assert types(live.send("response.create")) == ["response.created"]  # the turn is still there to be answered


def test_an_empty_answer_is_a_turn_all_the_same():
    live = Driven()
    live.speak(*TURN)
    assert "response.output_item.added" in types(live.answered(""))


def test_turns_that_the_context_cannot_hold_are_forgotten_and_the_client_is_told():
    live = Driven()
    live.speak(*TURN)
    live.says("One.")
    live.answered("One.")
    first = [item.id for item in live.session._conversation.items]
    live.speak(*TURN)
    assert [event["item_id"] for event in live.forgets(*first)] == first
    live.says("Two.")
    live.answered("Two.")
    live.speak(*TURN)
    [job] = live.running(Respond)
    assert not {item.id for item in job.items} & set(first)


def test_a_conversation_too_large_to_keep_loses_its_oldest_items(monkeypatch):
    monkeypatch.setattr("auricle.serve.live.conversation._MOST_BYTES", 10 * 16_000 * 4)
    live = Driven()
    live.update(type="realtime", audio={"input": {"turn_detection": None}})
    for _ in range(4):
        live.raw(tone(3.0))
        live.send("input_audio_buffer.commit")
    added = [event["item"]["id"] for event in of_type(live.events, "conversation.item.added")]
    assert [event["item_id"] for event in of_type(live.events, "conversation.item.deleted")] == added[:1]


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


# The end.


def test_a_server_that_stops_says_so_finishes_the_answer_and_closes():
    live = Driven()
    live.speak(*TURN)
    assert error(live.stop())["code"] == "server_stopping"
    assert live.stop() == []
    assert live.closed is None
    assert live.speak(*TURN) == []
    live.says("Bye")
    assert types(live.answered("Bye"))[-1] == "response.done"
    assert live.closed is not None
    assert live.closed.code == 1012


def test_a_server_that_stops_closes_an_idle_connection_at_once():
    live = Driven("transcription")
    live.stop()
    assert live.closed is not None


def _text(text: str, **fields: str) -> dict:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **fields}
