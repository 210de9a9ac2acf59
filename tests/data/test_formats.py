"""Every form in which training data are written."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.conversation import Audio, Message
from auricle.data.formats import parse_line
from auricle.data.places import Origin, in_folder
from auricle.data.records import Dialogue, Labelled, Preference, Record, Recording
from auricle.errors import UserError

FOLDER = Path("/data/set")
ORIGIN = Origin("set.jsonl:7", "set", in_folder(FOLDER))
A, B, C = (Recording(FOLDER / name) for name in ("a.wav", "b.wav", "c.wav"))


def read(task: str | None = None, /, **fields: Any) -> Record:
    return parse_line(json.dumps(fields), Origin(ORIGIN.where, ORIGIN.source, ORIGIN.find, task))


def dialogue(*turns: tuple[Any, ...], recordings: tuple[Recording, ...] = (A,)) -> Dialogue:
    messages = tuple(Message(role, tuple(content)) for role, *content in turns)
    return Dialogue("set.jsonl:7", "set.jsonl:7", "set", recordings, messages)


MOOD = dialogue(("user", Audio(), "What mood?"), ("assistant", "Anxious."))


@pytest.mark.parametrize(
    "fields",
    [
        {
            "audio": "a.wav",
            "conversations": [
                {"from": "human", "value": "<audio>\nWhat mood?"},
                {"from": "gpt", "value": "Anxious."},
            ],
        },
        {
            "messages": [
                {"role": "user", "content": "<audio>What mood?"},
                {"role": "assistant", "content": "Anxious."},
            ],
            "audios": ["a.wav"],
        },
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "audio", "audio_url": "a.wav"},
                        {"type": "text", "text": "What mood?"},
                    ],
                },
                {"role": "assistant", "content": [{"type": "text", "text": "Anxious."}]},
            ]
        },
        {
            "messages": [
                {"role": "user", "content": [{"type": "audio"}, {"type": "text", "text": "What mood?"}]},
                {"role": "assistant", "content": "Anxious."},
            ],
            "audio": ["a.wav"],
        },
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "audio_url", "audio_url": {"url": "a.wav"}},
                        {"type": "text", "text": "What mood?"},
                    ],
                },
                {"role": "assistant", "content": "Anxious."},
            ]
        },
        {"query": "<audio>What mood?", "response": "Anxious.", "audios": ["a.wav"]},
        {"question": "What mood?", "answer": "Anxious.", "audio": {"path": "a.wav", "bytes": None}},
        {"query": "What mood?", "response": "Anxious.", "audio_path": "a.wav", "history": None, "licence": "CC0"},
    ],
)
def test_a_conversation_in_every_form(fields: dict[str, Any]):
    assert read(**fields) == MOOD


def test_recordings_without_a_place_are_heard_before_the_first_users_text():
    read_ = read(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Compare."},
            {"role": "assistant", "content": "Same."},
            {"role": "user", "content": "Sure?"},
            {"role": "assistant", "content": "Yes."},
        ],
        audios=["a.wav", "b.wav"],
    )
    assert read_ == dialogue(
        ("system", "Be brief."),
        ("user", Audio(), Audio(), "Compare."),
        ("assistant", "Same."),
        ("user", "Sure?"),
        ("assistant", "Yes."),
        recordings=(A, B),
    )


def test_a_part_that_names_its_recording_stands_between_listed_ones():
    record = read(
        messages=[
            {
                "role": "user",
                "content": [{"type": "text", "text": "<audio>"}, {"type": "audio", "path": "b.wav"}, {"type": "audio"}],
            },
            {"role": "assistant", "content": "x"},
        ],
        audios=["a.wav", "/else/where.wav"],
    )
    assert record.recordings == (A, B, Recording(Path("/else/where.wav")))


def test_one_line_break_after_a_place_belongs_to_the_place():
    record = read(query="Hear:\n<audio>\n\nNow?", response="\nYes", audios="a.wav")
    assert isinstance(record, Dialogue)
    assert record.messages == (
        Message("user", ("Hear:\n", Audio(), "\nNow?")),
        Message("assistant", ("\nYes",)),
    )


def test_system_and_history_come_before_the_question():
    record = read(system="S", history=[["q1", "a1"], ["q2", "a2"]], query="q3", response="a3")
    assert isinstance(record, Dialogue)
    assert [(message.role, *message.content) for message in record.messages] == [
        ("system", "S"),
        ("user", "q1"),
        ("assistant", "a1"),
        ("user", "q2"),
        ("assistant", "a2"),
        ("user", "q3"),
        ("assistant", "a3"),
    ]
    assert record.recordings == ()


@pytest.mark.parametrize(
    ("losses", "supervised"),
    [
        ((None, None), None),
        ((False, None), (False, True)),
        ((True, False), (True, False)),
    ],
)
def test_loss_of_each_answer(losses: tuple[bool | None, ...], supervised: tuple[bool, ...] | None):
    messages = [
        {"role": "user", "content": "q", "loss": False},
        {"role": "assistant", "content": "a", "loss": losses[0]},
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "b"} | ({} if losses[1] is None else {"loss": losses[1]}),
    ]
    record = read(messages=messages)
    assert isinstance(record, Dialogue)
    assert record.supervised == supervised


def test_a_labelled_recording():
    record = read(
        audio="a.wav",
        text="Hallo.",
        language="de",
        source="calls",
        speaker="eva",
        id="x1",
        duration_s=1.5,
        kind="human",
        licence="CC0",
    )
    recording = Recording(FOLDER / "a.wav", duration_s=1.5)
    assert record == Labelled("set.jsonl:7", "x1", "calls", (recording,), "asr", "Hallo.", "de", None, "eva")


def test_a_labelled_recording_as_nemo_writes_it():
    fields = {"audio_filepath": "/x/a.wav", "text": "Hello.", "lang": "de", "target_lang": "en", "duration": 2}
    record = read(**fields, speaker_id=19)
    recording = Recording(Path("/x/a.wav"), duration_s=2.0)
    where = "set.jsonl:7"
    assert record == Labelled(where, where, "set", (recording,), "translation", "Hello.", "de", "en", "19")


@pytest.mark.parametrize(
    ("own", "given", "task"),
    [(None, None, "asr"), (None, "emotion", "emotion"), ("music", "emotion", "music"), ("ser", None, "emotion")],
)
def test_a_lines_own_task_goes_before_the_manifests(own: str | None, given: str | None, task: str):
    record = read(given, audio="a.wav", text="sad", task=own)
    assert isinstance(record, Labelled)
    assert record.task == task


PAIR = Preference(
    "set.jsonl:7",
    "set.jsonl:7",
    "set",
    (A,),
    (Message("user", (Audio(), "Who?")),),
    "Eva.",
    "Bob.",
)
USER = {"role": "user", "content": "<audio>Who?"}


def says(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [USER], "chosen": "Eva.", "rejected": "Bob."},
        {"messages": [USER], "chosen": says("Eva."), "rejected": [says("Bob.")]},
        {"conversations": [USER], "chosen": {"from": "gpt", "value": "Eva."}, "rejected": "Bob."},
        {"chosen": [USER, says("Eva.")], "rejected": [USER, says("Bob.")]},
        {"prompt": [USER], "chosen": [says("Eva.")], "rejected": [says("Bob.")]},
        {"prompt": "<audio>Who?", "chosen": [USER, says("Eva.")], "rejected": [USER, says("Bob.")]},
        {"query": "<audio>Who?", "chosen": "Eva.", "rejected": "Bob."},
        {"messages": [USER, says("Eva.")], "rejected_response": "Bob."},
        {"query": "<audio>\nWho?", "response": "Eva.", "rejected_response": "Bob."},
        {"messages": [USER, says("Eva.")], "rejected_messages": [USER, says("Bob.")]},
        {"messages": [USER, says("Eva.")], "rejected_messages": [USER, says("Bob.")], "rejected_audios": ["a.wav"]},
    ],
)
def test_a_preference_in_every_form(fields: dict[str, Any]):
    assert read(audios=["a.wav"], **fields) == PAIR


def test_a_preference_may_name_a_dimension_and_another_recording_for_the_rejected_answer():
    fields = {"messages": [USER, says("Eva.")], "rejected_response": "Bob.", "dimension": "factual"}
    record = read(audios=["a.wav"], rejected_audios=["b.wav"], **fields)
    assert isinstance(record, Preference)
    assert (record.recordings, record.rejected_recordings, record.dimension) == ((A,), (B,), "factual")

    parts = [[{"role": "user", "content": [{"type": "audio", "audio": name}]}] for name in ("a.wav", "c.wav")]
    record = read(chosen=[*parts[0], says("x")], rejected=[*parts[1], says("y")])
    assert isinstance(record, Preference)
    assert (record.recordings, record.rejected_recordings) == ((A,), (C,))


def test_a_text_beside_a_question_is_a_transcript():
    assert isinstance(read(audio="a.wav", text="x", question="Who?", answer="Eva."), Labelled)


def test_answers_may_lengthen_the_prompt_that_they_repeat():
    more = [USER, says("Eva."), {"role": "user", "content": "Sure?"}]
    record = read(prompt=[USER], audios=["a.wav"], chosen=[*more, says("Yes.")], rejected=[*more, says("No.")])
    assert isinstance(record, Preference)
    assert (len(record.messages), record.chosen, record.rejected) == (3, "Yes.", "No.")


def test_a_preference_after_several_turns():
    turns = [USER, says("Eva."), {"role": "user", "content": "And now?"}]
    record = read(messages=turns, audios=["a.wav"], chosen="Ann.", rejected="Bob.")
    assert isinstance(record, Preference)
    assert len(record.messages) == 3


def test_an_escaped_pair_is_one_character():
    record = parse_line('{"audio": "a.wav", "text": "\\ud83d\\ude00"}', ORIGIN)
    assert isinstance(record, Labelled)
    assert record.target == "\N{GRINNING FACE}"


@pytest.mark.parametrize("key", ["idx", "text_kind", "split", "licence", "conversation", "audio_id", "tags", "texts2"])
def test_extra_keys_are_ignored_where_they_are_no_slip(key: str):
    fields = (
        {"messages": [USER, says("x")], "audio": "a.wav"} if key == "conversation" else {"audio": "a.wav", "text": "x"}
    )
    assert read(**fields, **{key: "y"}) == read(**fields)


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(lambda text: "<audio>" not in text)
contents = st.lists(st.one_of(texts, st.just(Audio())), min_size=1, max_size=4).map(
    lambda parts: tuple(
        part for place, part in enumerate(parts) if isinstance(part, Audio) or not place or parts[place - 1] == Audio()
    )
)
conversations = st.lists(st.tuples(contents, texts, st.booleans()), min_size=1, max_size=3)


def as_text(content: tuple[str | Audio, ...]) -> str:
    return "".join("<audio>\n" if isinstance(part, Audio) else part for part in content)


def as_parts(content: tuple[str | Audio, ...], names: list[str]) -> list[dict[str, str]]:
    return [
        {"type": "audio", "audio": names.pop(0)} if isinstance(part, Audio) else {"type": "text", "text": part}
        for part in content
    ]


@given(conversations, st.sampled_from(["conversations", "messages", "parts"]))
def test_records_written_in_a_form_come_back(turns: list[tuple[Any, str, bool]], form: str):
    num_places = sum(content.count(Audio()) for content, _, _ in turns)
    names = [f"{number}.wav" for number in range(num_places)]
    left = list(names)
    role, value = ("from", "value") if form == "conversations" else ("role", "content")
    written: list[dict[str, Any]] = []
    for content, answer, _ in turns:
        user = as_parts(content, left) if form == "parts" else as_text(content)
        written += [{role: "human" if role == "from" else "user", value: user}]
        written += [{role: "gpt" if role == "from" else "assistant", value: answer}]
    key = "conversations" if form == "conversations" else "messages"
    record = read(**{key: written}, **({} if form == "parts" else {"audios": names}))
    expected = tuple(
        message
        for content, answer, _ in turns
        for message in (Message("user", content), Message("assistant", (answer,)))
    )
    assert isinstance(record, Dialogue)
    assert record.messages == expected
    assert record.recordings == tuple(Recording(FOLDER / name) for name in names)


@given(
    st.dictionaries(
        st.sampled_from(["audio", "text", "messages", "chosen", "rejected", "query", "duration_s"]),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=4),
            lambda inner: (
                st.lists(inner) | st.dictionaries(st.sampled_from(["role", "content", "type", "text"]), inner)
            ),
        ),
    )
)
def test_whatever_a_line_holds_is_a_record_or_one_sentence(fields: dict[str, Any]):
    try:
        read(**fields)
    except UserError as error:
        said = str(error)
    else:
        said = "set.jsonl:7: a record"
    assert said.startswith("set.jsonl:7: ")
