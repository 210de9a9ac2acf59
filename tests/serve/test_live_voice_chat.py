"""The logic of voice chat: turns of speech and text in, answers and interruptions out."""

from live_driving import TURN, Driven, error, of_type, silence, tone, types

from auricle.conversation import Audio, Message
from auricle.serve.live.conversation import ways
from auricle.serve.live.jobs import Respond, Said
from auricle.serve.wire.errors import ApiError

DONE = "conversation.item.input_audio_transcription.completed"


def prompt(job: Respond) -> tuple[Message, ...]:
    """All that the model is asked."""
    return next(ways(job.items, job.instructions)).request.prompt


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


def _text(text: str, **fields: str) -> dict:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **fields}
