"""Every sentence that a bad line is answered with."""

from pathlib import Path

import pytest

from auricle.data.formats import parse_line, read_record
from auricle.data.places import Origin, in_folder
from auricle.errors import UserError

ORIGIN = Origin("set.jsonl:7", "set", in_folder(Path("/data/set")))
USER = {"role": "user", "content": "<audio>Who?"}


def says(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


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
