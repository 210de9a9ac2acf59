"""Every form in which training data are written, and every sentence that a bad line is answered with."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.conversation import Audio, Message
from auricle.data.formats import parse_line, read_record
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


BAD = [
    ([1], "[1] is not an object; expected one such as"),
    ({}, "the line has nothing; expected `audio` and `text`, `messages` and `audios`"),
    ({"audio": "a.wav"}, "the line has `audio`; expected `audio` and `text`"),
    ({"text": "x", "kind": "y"}, "the line has `text`, `kind`; expected"),
    ({"audoi": "a.wav", "text": "x"}, "the line has an unknown key `audoi`; did you mean `audio`?"),
    ({"audio": "a.wav", "text": "x", "langauge": "de"}, "unknown key `langauge`; did you mean `language`?"),
    ({"audio": "a.wav", "mesages": []}, "unknown key `mesages`; did you mean `messages`?"),
    ({"audio": "a.wav", "audios": ["a.wav"], "text": "x"}, "`audios` says again what another key says (`audio`)"),
    ({"audio": "a.wav", "text": 3}, "`text` is 3; expected a text"),
    ({"audio": ["a.wav", "b.wav"], "text": "x"}, "2 recordings for one `text`; expected one, or `messages`"),
    ({"audio": 3, "text": "x"}, "`audio` names the recording 3; expected a path, or a list of paths"),
    ({"audio": [""], "text": "x"}, '`audio` names the recording ""; expected a path'),
    ({"audio": {"bytes": "abc"}, "text": "x"}, "`audio` names the recording null; expected a path"),
    ({"audio": "https://x.org/a.wav", "text": "x"}, 'the recording "https://x.org/a.wav" is an address'),
    ({"audio": "a.wav", "text": "x", "duration": 0}, "`duration_s` is 0 for 1 recordings; expected seconds above 0"),
    ({"audio": "a.wav", "text": "x", "duration_s": "2"}, '`duration_s` is "2" for 1 recordings'),
    ({"audio": "a.wav", "text": "x", "duration_s": [1, 2]}, "`duration_s` is [1, 2] for 1 recordings"),
    ({"audio": "a.wav", "text": "x", "duration_s": float("nan")}, "`duration_s` is NaN for 1 recordings"),
    ({"audio": "a.wav", "text": "x", "task": "singing"}, "unknown task 'singing'"),
    ({"audio": "a.wav", "text": "x", "language": "German"}, "language 'German', expected an ISO 639 code"),
    ({"audio": "a.wav", "text": "x", "duration_s": float("inf")}, "`duration_s` is Infinity for 1 recordings"),
    ({"messages": "hi"}, '`messages` is "hi"; expected a list of turns'),
    ({"messages": []}, "`messages` is []; expected a list of turns"),
    ({"messages": ["hi"]}, '`messages`[0] is "hi"; expected an object such as {"role": "user"'),
    ({"messages": [{"content": "x"}]}, "`messages`[0] does not say who speaks; expected `role`"),
    (
        {"messages": [{"rolle": "user", "content": "x"}]},
        "`messages`[0] has an unknown key `rolle`; did you mean `role`?",
    ),
    (
        {"messages": [{"role": "tool", "content": "x"}]},
        '`messages`[0] has the role "tool"; expected one of user, human,',
    ),
    ({"messages": [{"role": "user"}]}, "`messages`[0] says nothing; expected `content`"),
    (
        {"messages": [{"role": "user", "content": 3}]},
        "`messages`[0] has the content 3; expected a text or a list of parts",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
        '`messages`[0] has the part {"type": "image"}; expected {"type": "text"',
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA"}}]}]},
        "`messages`[0] holds a recording's bytes (`input_audio`); write them to a file",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "audio", "audio": 3}]}]},
        "`messages`[0] names the recording 3; expected a path",
    ),
    (
        {"messages": [USER, {"role": "system", "content": "x"}]},
        "`messages`[1] is the system's; expected it as the first",
    ),
    ({"messages": [{"role": "system", "content": "x"}], "system": "y"}, "`messages`[1] is the system's"),
    ({"messages": [says("x"), USER]}, "`messages` has no user's turn before the assistant's first"),
    (
        {"messages": [USER], "audio": "a.wav"},
        "the conversation ends with the user's turn; expected the assistant's answer",
    ),
    ({"query": "x", "audio": "a.wav"}, "the conversation ends with the user's turn"),
    (
        {"messages": [USER, says("<audio>x")], "audio": "a.wav"},
        "is the assistant's and holds a recording; expected text",
    ),
    ({"messages": [USER, says("")], "audio": "a.wav"}, "`messages`[1] is the assistant's and is empty"),
    ({"messages": [says("x")], "audio": "a.wav"}, "1 recordings and no user's turn to hear them in"),
    ({"messages": [USER, says("x") | {"loss": 1}]}, "`messages`[1] has `loss` 1; expected true or false"),
    ({"messages": [USER | {"loss": True}, says("x")]}, "`messages`[0] has `loss` true but is the user's"),
    (
        {"messages": [USER, says("x") | {"loss": False}], "audio": "a.wav"},
        "every answer has `loss` false, so nothing is",
    ),
    ({"messages": [USER, says("x")]}, "1 places `<audio>` and 0 recordings; expected one recording for each place"),
    ({"messages": [USER, says("x")], "audio": ["a.wav", "b.wav"]}, "1 places `<audio>` and 2 recordings"),
    (
        {"messages": [USER, says("x")], "audio": "a.wav", "complexity": "hard"},
        '`complexity` is "hard"; expected one of si',
    ),
    ({"messages": [USER, says("x")], "query": "x"}, "`messages` and `query` or `response` are two conversations"),
    ({"query": "x", "response": "y", "history": ["a"]}, '`history` is ["a"]; expected a list of [query, response]'),
    ({"messages": [USER], "chosen": "x"}, "a preference with `chosen`; expected `chosen` and `rejected`, or"),
    (
        {"messages": [USER], "chosen": "x", "rejected": "y", "rejected_response": "z"},
        "a preference with `chosen` and `re",
    ),
    ({"chosen": "x", "rejected": "y"}, "before the two answers nobody speaks; expected a conversation that ends with"),
    ({"messages": [USER, says("z")], "chosen": "x", "rejected": "y"}, "before the two answers assistant speaks"),
    (
        {"messages": [USER], "rejected_response": "y"},
        "the conversation ends with the user's turn; expected the assistant",
    ),
    ({"messages": [USER], "chosen": [USER], "rejected": "y"}, "`chosen` ends with the user's turn; expected"),
    ({"messages": [USER], "chosen": "", "rejected": "y"}, "`chosen` is the assistant's and is empty"),
    (
        {"messages": [USER, says("x")], "rejected_messages": [{"role": "user", "content": "Other?"}, says("y")]},
        "the chosen and the rejected answer follow different turns; expected the same question",
    ),
    ({"messages": [USER], "chosen": "x", "rejected": "x"}, 'the chosen and the rejected answer are the same, "x"'),
    (
        {"messages": [USER, says("x") | {"loss": True}, USER], "chosen": "x", "rejected": "y"},
        "a turn before the two answers has `loss`; a preference learns from its two answers only",
    ),
    (
        {"messages": [USER], "chosen": "x", "rejected": "y", "audio": "a.wav", "dimension": "taste"},
        '`dimension` is "taste"',
    ),
    (
        {"query": "x", "chosen": "a", "rejected": "b", "audio": "a.wav", "rejected_audios": ["a.wav", "b.wav"]},
        "2 recordings for the rejected answer and 1 for the chosen; expected as many",
    ),
]


@pytest.mark.parametrize(("fields", "sentence"), BAD)
def test_a_bad_line_is_named_and_explained(fields: object, sentence: str):
    with pytest.raises(UserError) as caught:
        read_record(fields, ORIGIN)
    assert str(caught.value).startswith(
        f"set.jsonl:7: {sentence}" if not sentence.startswith(("is ", "unk")) else "set"
    )
    assert sentence in str(caught.value)
    assert str(caught.value).count("set.jsonl:7") == 1
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{'audio': 1}", "is not JSON (Expecting property name enclosed in double quotes at column 2); expected one"),
        ('{"audio": "a.wav"', "is not JSON (Expecting ',' delimiter at column 18)"),
        ("[" * 100_000, "this JSON cannot be read: maximum recursion depth exceeded"),
        ('{"audio": "a.wav", "text": "\\ud800"}', "this JSON cannot be read: 'utf-8' codec can't encode"),
    ],
)
def test_a_line_that_is_no_json(line: str, sentence: str):
    with pytest.raises(UserError) as caught:
        parse_line(line, ORIGIN)
    assert str(caught.value).startswith("set.jsonl:7: ")
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 250


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
