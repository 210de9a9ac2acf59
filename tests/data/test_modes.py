"""Stage 2: how modes are told apart, and what a record becomes."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.conversation import Audio, Message, count_audios
from auricle.data import Dialogue, Example, Labelled, Preference, Recording
from auricle.data.modes import kind_of, sft_make
from auricle.data.prompts import Bank, read_bank
from auricle.data.settings import VoiceSettings
from auricle.data.source import Source
from auricle.data.voice_chat import hesitation, interrupted, joined, with_filler
from auricle.errors import UserError
from auricle.prepare import render
from auricle.text import Tokenizer

A = Audio()
STILL = VoiceSettings(join=0, interrupt=0, filler=0)
UM = Recording(Path("um.wav"))


def dialogue(*turns: object, number: int = 0, **changed: object) -> Dialogue:
    """Turns of the user as tuples, those of the assistant as texts."""
    messages = tuple(
        Message("assistant", (turn,)) if isinstance(turn, str) else Message("user", turn) for turn in turns
    )
    recordings = tuple(Recording(Path(f"{number}-{n}.wav"), duration_s=3.0) for n in range(count_audios(messages)))
    return replace(Dialogue(f"d.jsonl:{number}", f"d{number}", "chat", recordings, messages), **changed)


def chat(num_turns: int, number: int = 0, **changed: object) -> Dialogue:
    turns = [turn for n in range(num_turns) for turn in ((A,), f"answer {n} of dialogue {number}")]
    return dialogue(*turns, number=number, **changed)


@pytest.fixture(scope="module")
def bank() -> Bank:
    return read_bank()


@pytest.mark.parametrize(
    ("turns", "kind"),
    [
        (((A,), "x"), "voice chat"),
        (((A, "\n"), "x", (A, A), "y"), "voice chat"),
        (((A, "What is said?"), "x"), "analysis"),
        ((("What is said?", A), "x"), "analysis"),
        (((A, A, "Compare."), "x", ("And why?",), "y", (A, "And this?"), "z"), "analysis"),
        ((("First", A, "then what?"), "x"), "interleaved"),
        (((A, "or", A), "x"), "interleaved"),
        (((A, "What is said?"), "x", (A,), "y"), "interleaved"),
        ((("Hello",), "x", (A,), "y"), "interleaved"),
        ((("Hello",), "x"), "text"),
    ],
)
def test_modes_are_told_by_the_users_turns(turns: tuple, kind: str):
    assert kind_of(dialogue(*turns)) == kind
    system = Message("system", ("Be brief.",))
    with_system = dialogue(*turns)
    assert kind_of(replace(with_system, messages=(system, *with_system.messages))) == kind


@pytest.mark.parametrize("turns", [((A,), "x"), ((A, "What?"), "x"), (("a", A, "b"), "x"), (("Hi",), "x")])
def test_a_conversation_is_learnt_as_it_is(bank: Bank, turns: tuple):
    """No system prompt and no marker of the mode: the messages are the record's own."""
    record = dialogue(*turns)
    [example] = sft_make(bank, voice=STILL)(record, np.random.default_rng(0))
    assert example == Example(
        record.messages, None, record.recordings, record.where, record.source, kind_of(record), None
    )


def test_both_modes_read_the_same_before_the_users_turn(bank: Bank, tokenizer: Tokenizer):
    starts = set()
    for turns in (((A,), "x"), ((A, "What?"), "x")):
        [example] = sft_make(bank, voice=STILL)(dialogue(*turns), np.random.default_rng(0))
        prompt = render(example.prompt, [7], tokenizer, open_turn=False)
        starts.add(prompt.ids[: prompt.audio_spans[0][0]])
    assert len(starts) == 1


def instructed(bank: Bank, record: Labelled, num: int) -> list[Example]:
    return [sft_make(bank)(record, np.random.default_rng((2, n)))[0] for n in range(num)]


def test_one_recording_gets_many_instructions(bank: Bank):
    record = Labelled("m:1", "i", "libri", (UM,), "asr", "hello there", "en")
    examples = instructed(bank, record, 2000)
    counts = Counter(example.prompt[0].content for example in examples)
    assert set(counts) == {(A, text) for text in bank["asr"].instructions}
    share = 1 / len(bank["asr"].instructions)
    slack = 5 * math.sqrt(2000 * share * (1 - share))
    assert all(abs(count - 2000 * share) <= slack for count in counts.values())
    assert {example.prompt[1] for example in examples} == {Message("assistant", ("hello there",))}
    assert {(example.task, example.recordings, example.answer) for example in examples} == {("asr", (UM,), None)}
    assert examples == instructed(bank, record, 2000)


def test_what_mini_was_asked_is_still_asked(bank: Bank):
    assert {"Transcribe the speech.", "What does the speaker say?", "Transcribe this."} <= set(bank["asr"].instructions)
    assert "What language is this?" in bank["language_identification"].instructions


def test_an_instruction_names_the_language_to_translate_into(bank: Bank):
    record = Labelled("m:1", "i", "covost", (UM,), "s2tt", "Hallo", "en", target_language="de")
    texts = {example.prompt[0].content[1] for example in instructed(bank, record, 100)}
    assert "Translate this into German." in texts
    assert not any("{" in text for text in texts)


def test_a_spoken_request_with_its_reply_is_a_voice_chat(bank: Bank):
    record = Labelled("m:1", "i", "s", (UM,), "voice_chat", "It is noon.")
    [example] = sft_make(bank, voice=STILL)(record, np.random.default_rng(0))
    assert example.prompt == (Message("user", (A,)), Message("assistant", ("It is noon.",)))
    assert example.task == "voice chat"


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (
            Preference("p:1", "p", "s", (), (), "a", "b"),
            "p:1: stage 2 learns from conversations; give a preference to dpo",
        ),
        (
            Labelled("m:1", "i", "s", (UM,), "asr", " "),
            "m:1: nothing is said, so there is no answer to learn; leave the line to stage 1",
        ),
        (
            chat(1, supervised=(False,)),
            "d.jsonl:0: no answer of the assistant counts, so nothing is learnt; add one",
        ),
        (dialogue((A,)), "no answer of the assistant counts"),
        (chat(2, supervised=(True,)), "1 marks of what is learnt for 2 answers; expected one each"),
    ],
)
def test_what_cannot_be_learnt_is_refused(bank: Bank, record, sentence: str):
    with pytest.raises(UserError) as caught:
        sft_make(bank)(record, np.random.default_rng(0))
    assert sentence in str(caught.value)


def test_a_bank_without_the_task_is_told(bank: Bank):
    without = {name: wordings for name, wordings in bank.items() if name != "music"}
    with pytest.raises(UserError, match="m:1: the prompt bank has no instructions for music; add them"):
        sft_make(without)(Labelled("m:1", "i", "s", (UM,), "music", "A waltz."), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"join": 1.5}, r"join must lie in 0 to 1: got 1.5; it is a share of voice chats"),
        ({"filler": -0.1}, "filler must lie in 0 to 1"),
        ({"most_turns": 1}, "most_turns must be at least 2: got 1; set join to 0 for none"),
        ({"longest_s": 0}, "longest_s must be above 0: got 0; set join to 0 for none"),
    ],
)
def test_settings_out_of_range(settings: dict, sentence: str):
    with pytest.raises(UserError, match=sentence):
        VoiceSettings(**settings)


def answers(record: Dialogue | Example) -> list[str]:
    messages = record.messages if isinstance(record, Dialogue) else record.prompt
    return [message.content[0] for message in messages if message.role == "assistant"]


@given(num_turns=st.integers(2, 6), seed=st.integers(0, 2**32))
def test_an_interruption_is_read_but_not_learnt(num_turns: int, seed: int):
    record = chat(num_turns)
    cut = interrupted(record, np.random.default_rng(seed))
    changed = [n for n, (old, new) in enumerate(zip(answers(record), answers(cut), strict=True)) if old != new]
    assert len(changed) == 1
    [n] = changed
    assert n < num_turns - 1  # another turn of the user follows
    words, kept = answers(record)[n].split(), answers(cut)[n].split()
    assert kept == words[: len(kept)]
    assert 0 < len(kept) < len(words)
    assert cut.supervised == tuple(place != n for place in range(num_turns))
    assert cut.recordings == record.recordings


def test_where_an_answer_may_be_cut():
    ends = {answers(interrupted(chat(2), np.random.default_rng(seed)))[0] for seed in range(100)}
    assert ends == {"answer", "answer 0", "answer 0 of", "answer 0 of dialogue"}
    chinese = dialogue((A,), "今天天气", (A,), "好")
    ends = {answers(interrupted(chinese, np.random.default_rng(seed)))[0] for seed in range(100)}
    assert ends == {"今", "今天", "今天天"}


@pytest.mark.parametrize(
    "record",
    [
        chat(1),
        dialogue((A,), "Yes.", (A,), "No."),
        chat(2, supervised=(True, False)),
        dialogue((A,), "Yes. ", (A,), "x"),
    ],
)
def test_nothing_to_interrupt(record: Dialogue):
    assert interrupted(record, np.random.default_rng(0)) == record


def test_a_filler_stands_before_the_words_of_one_turn():
    record = dialogue((A,), "x", ("typed",), "y", (A, A), "z")
    found = set()
    for seed in range(50):
        filled = with_filler(record, UM, np.random.default_rng(seed))
        assert count_audios(filled.messages) == len(filled.recordings) == 4
        place = filled.recordings.index(UM)
        found.add((place, tuple(len(message.content) for message in filled.messages)))
        assert [part for part in filled.recordings if part != UM] == list(record.recordings)
    assert found == {(0, (2, 1, 1, 1, 2, 1)), (1, (1, 1, 1, 1, 3, 1))}
    typed = dialogue(("typed",), "x")
    assert with_filler(typed, UM, np.random.default_rng(0)) == typed


def test_conversations_are_joined_within_their_limits():
    whole = joined([chat(1), chat(2, 1), chat(3, 2), chat(1, 3)], VoiceSettings(most_turns=4))
    assert [part.path.name for part in whole.recordings] == ["0-0.wav", "1-0.wav", "1-1.wav", "3-0.wav"]
    assert answers(whole) == [
        "answer 0 of dialogue 0",
        *(f"answer {n} of dialogue 1" for n in (0, 1)),
        answers(chat(1, 3))[0],
    ]
    assert whole.supervised == (True,) * 4
    assert whole.where == "d.jsonl:0"
    assert len(joined([chat(1), chat(1, 1), chat(1, 2)], VoiceSettings(longest_s=7.0)).recordings) == 2
    masked = joined([chat(1), chat(2, 1, supervised=(False, True))], VoiceSettings())
    assert masked.supervised == (True, False, True)


def test_a_system_prompt_is_never_mixed():
    def with_system(text: str, number: int) -> Dialogue:
        record = chat(1, number)
        return replace(record, messages=(Message("system", (text,)), *record.messages))

    same = joined([with_system("Be brief.", 0), with_system("Be brief.", 1)], VoiceSettings())
    assert [message.role for message in same.messages] == ["system", *["user", "assistant"] * 2]
    other = joined([with_system("Be brief.", 0), with_system("Be kind.", 1), chat(1, 2)], VoiceSettings())
    assert other == with_system("Be brief.", 0)


def test_how_often_voice_chats_are_changed(bank: Bank):
    records = [chat(2, n) for n in range(20)]
    voice = VoiceSettings(join=0.4, interrupt=0.3, filler=0.2)
    make = sft_make(bank, sources=[Source("chat", records, 1.0)], fillers=[UM], voice=voice)
    examples = [make(records[3], np.random.default_rng((5, n)))[0] for n in range(3000)]
    for share, count in (
        (0.4, sum(len(answers(example)) > 2 for example in examples)),
        (0.3, sum(example.supervised is not None and False in example.supervised for example in examples)),
        (0.2, sum(UM in example.recordings for example in examples)),
    ):
        assert abs(count - 3000 * share) <= 5 * math.sqrt(3000 * share * (1 - share))
    assert max(len(answers(example)) for example in examples) <= 5
    assert all(count_audios(example.prompt) == len(example.recordings) for example in examples)
    others = {part.path.name.split("-")[0] for example in examples for part in example.recordings[2:]}
    assert len(others - {"um.wav"}) == 20  # the drawn one's own second recording after a filler, and 19 others


def test_analysis_is_never_changed(bank: Bank):
    record = dialogue((A, "What?"), "one two three", (A, "And?"), "four")
    make = sft_make(
        bank, sources=[Source("chat", [record, chat(2, 1)], 1.0)], fillers=[UM], voice=VoiceSettings(1, 5, 120, 1, 1)
    )
    [example] = make(record, np.random.default_rng(0))
    assert example.prompt == record.messages


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Um...", True),
        ("uh, um", True),
        ("嗯", True),
        ("Äh!", True),
        ("um hello", False),
        ("", False),
        ("um um um um", False),
    ],
)
def test_hesitation_is_known_by_its_transcript(text: str, found: int):
    record = Labelled("m:1", "i", "s", (UM,), "asr", text)
    assert hesitation(record) == (UM if found else None)
    assert hesitation(replace(record, task="captioning")) is None
    assert hesitation(dialogue((A,), "um")) is None
