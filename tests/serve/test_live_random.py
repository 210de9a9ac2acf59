"""Any order of events, good and bad, and of what becomes of jobs: nothing fails, and the story holds together."""

import json
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from live_driving import Driven, result, silence, tone

from auricle.conversation import Answer
from auricle.serve.live.jobs import Answered, Failed, Guess, Heard, LeftOut, Respond, Said, Transcribe
from auricle.serve.wire.errors import ApiError

LOUD, QUIET, BURST = tone(0.9), silence(0.9), tone(0.02)
DETECTION = [
    None,
    {"type": "server_vad"},
    {"interrupt_response": False},
    {"create_response": False},
    {"type": "semantic_vad"},
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
TYPES = [
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.delete",
    "conversation.item.truncate",
    "response.create",
    "response.cancel",
]
FIELDS = ["session", "audio", "item", "item_id", "previous_item_id", "response", "response_id", "event_id"]
garbled = st.builds(
    lambda kind, fields: json.dumps({"type": kind, **fields}),
    st.sampled_from(TYPES),
    st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=2),
)
plain = st.sampled_from(
    [{"type": kind} for kind in TYPES if kind.split(".")[-1] in ("commit", "clear", "cancel", "create")]
)
update = st.builds(
    lambda kind, detection, transcribed: {
        "type": "session.update",
        "session": {
            "type": kind,
            "audio": {"input": {"turn_detection": detection, "transcription": {} if transcribed else None}},
        },
    },
    st.sampled_from(["realtime", "realtime", "transcription"]),
    st.sampled_from(DETECTION),
    st.booleans(),
)
text_item = st.just(
    {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]},
    }
)
delete = st.just("delete")
sound = st.sampled_from([LOUD, QUIET, LOUD, QUIET, BURST])
work = st.tuples(st.sampled_from(["more", "end", "fail", "stale", "forget"]), st.integers(0, 3))
steps = st.lists(
    st.one_of(
        sound,
        sound,
        work,
        work,
        (plain | update | text_item).map(json.dumps),
        garbled,
        delete,
        st.text(max_size=20),
        st.binary(max_size=9),
    ),
    max_size=40,
)


def work_on(live: Driven, what: str, place: int) -> None:
    """Let one of the jobs that run do something; a stale report is of a job that was cancelled."""
    if what == "stale":
        for job_id in live.cancelled[-1:]:
            live.report(Said(job_id, "stale"))
            live.report(Failed(job_id, ApiError(500, "stale")))
        return
    if not live.jobs:
        return
    job = list(live.jobs.values())[place % len(live.jobs)]
    if what == "fail":
        live.done(Failed(job.id, ApiError(429, "busy")))
    elif not isinstance(job, Respond):
        live.done(Heard(job.id, result("hello there")))
    elif what == "more":
        live.report(Said(job.id, "word "))
    elif what == "forget":
        live.report(LeftOut(job.id, tuple(item.id for item in job.items[:-1])))
    else:
        live.done(Answered(job.id, Answer("", 40, 5, "stop", -1.0), 25))


@settings(max_examples=50)
@given(st.sampled_from(["realtime", "transcription"]), steps, st.booleans())
def test_whatever_happens_in_whatever_order_the_story_holds_together(kind, happenings, stops):
    live = Driven(kind, longest_s=5.0)
    for step in happenings:
        if isinstance(step, tuple):
            work_on(live, *step)
        elif step == "delete":
            for item in live.session._conversation.items[:1]:
                live.send("conversation.item.delete", item_id=item.id)
        else:
            live.raw(step)
        assert all(len(live.running(kind)) <= 1 for kind in (Guess, Transcribe, Respond))
    if stops:
        live.stop()
        while live.jobs:
            work_on(live, "end", 0)
        assert live.closed is not None
    check_story(live.events)


def check_story(events: list[dict[str, Any]]) -> None:
    responses: dict[str, str] = {}  # what each said so far
    ended: set[str] = set()
    speaking: str | None = None
    for event in events:
        match event["type"]:
            case "response.created":
                assert set(responses) == ended, "two answers at once"
                responses[event["response"]["id"]] = ""
            case "response.output_text.delta":
                assert event["response_id"] not in ended
                responses[event["response_id"]] += event["delta"]
            case "response.output_text.done":
                assert event["text"] == responses[event["response_id"]]
            case "response.done":
                ended.add(event["response"]["id"])
                assert event["response"]["status"] != "in_progress"
            case "input_audio_buffer.speech_started":
                assert event["item_id"] != speaking
                speaking = event["item_id"]
            case "input_audio_buffer.speech_stopped":
                assert event["item_id"] == speaking
    assert len(responses) - len(ended) <= 1
    committed = [event["item_id"] for event in events if event["type"] == "input_audio_buffer.committed"]
    assert len(set(committed)) == len(committed)
    finals = Counter(
        event["item_id"]
        for event in events
        if event["type"].endswith(("transcription.completed", "transcription.failed"))
    )
    assert set(finals) <= set(committed)
    assert all(count == 1 for count in finals.values())
    assert len({event["event_id"] for event in events}) == len(events)
