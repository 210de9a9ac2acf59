"""The logic of live voice: events in, events and jobs out."""

import pytest
from live_driving import TURN, Driven, deltas, error, of_type, silence, tone, types

from auricle.assistant.live import Listener
from auricle.serve.live.jobs import Guess, Respond, Said, Transcribe
from auricle.serve.wire.errors import ApiError

DONE = "conversation.item.input_audio_transcription.completed"
COMMITTED = ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]


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
    live.speak(tone(0.15))
    [guess] = live.running(Guess)
    assert guess.waveform.duration_s == pytest.approx(4.4, abs=0.1)


def test_a_guess_that_cannot_run_is_dropped_silently_and_tried_with_more_sound():
    live = Driven("transcription")
    live.speak(silence(0.5), tone(1.0))
    assert live.failed(Guess, ApiError(429, "busy")) == []
    live.speak(tone(0.2))
    assert not live.running(Guess)
    live.speak(tone(0.4))
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
    live.speak(tone(0.15))
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


def test_small_portions_are_heard_many_at_once(monkeypatch):
    heard: list[int] = []
    push = Listener.push
    monkeypatch.setattr(Listener, "push", lambda self, samples: [heard.append(len(samples)), push(self, samples)][1])
    live = Driven("transcription")
    live.speak(*TURN, frame=960)  # 115 of 20 ms
    assert len(heard) < 20
    live.speak(silence(0.02))
    live.send("input_audio_buffer.clear")
    assert sum(heard) == pytest.approx(16_000 * 2.32, abs=16)


@pytest.mark.parametrize(("most", "kept"), [(10**6, 3), (16_000 * 4 * 3, 1)])
def test_a_conversation_keeps_to_its_share_of_all_memory(most: int, kept: int):
    live = Driven(most_bytes=lambda: most)
    for _ in range(3):
        live.speak(*TURN)
        live.send("response.cancel")
    added, deleted = (of_type(live.events, f"conversation.item.{kind}") for kind in ("added", "deleted"))
    assert len(added) - len(deleted) == kept


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
