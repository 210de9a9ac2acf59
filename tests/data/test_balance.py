"""Shares of the draws: classes of a record, weights that give the stated shares, and what the data cannot give."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auricle.conversation import Audio, Message
from auricle.data import Dialogue, Labelled, Preference, Recording
from auricle.data.balance import Cell, balanced, cell_of
from auricle.data.complexity import LONG_ANSWER_WORDS, LONG_INSTRUCTION_WORDS, judge_complexity
from auricle.data.settings import BalanceSettings
from auricle.data.source import Source
from auricle.errors import UserError

LENGTHS = {"short": 10.0, "medium": 60.0, "long": 200.0}


def record(length: str, mode: str, complexity: str | None, number: int = 0) -> Dialogue:
    content = {
        "analysis": (Audio(), "What?"),
        "voice chat": (Audio(),),
        "interleaved": ("a", Audio(), "b"),
        "text": ("Hi",),
    }[mode]
    recordings = () if mode == "text" else (Recording(Path(f"{number}.wav"), duration_s=LENGTHS[length]),)
    messages = (Message("user", content), Message("assistant", ("Yes.",)))
    return Dialogue(f"d:{number}", str(number), "s", recordings, messages, None, complexity)


def drawn_shares(sources, axis: str) -> dict[str, float]:
    """What the weights give, added up record by record: the definition."""
    total = sum(source.weight for source in sources)
    found: dict[str, float] = {}
    for source in sources:
        own = source.record_weights
        for item, weight in zip(source.records, own, strict=True):
            name = getattr(cell_of(item), axis)
            found[name] = found.get(name, 0.0) + source.weight / total * weight / sum(own)
    return found


def everything(counts: dict[Cell, int]) -> list[Dialogue]:
    return [record(*cell, number) for cell, count in counts.items() for number in range(count)]


ALL = {
    Cell(length, mode, complexity): 3 + 7 * number % 11
    for number, (length, mode, complexity) in enumerate(
        (length, mode, complexity)
        for length in LENGTHS
        for mode in ("analysis", "voice chat", "interleaved")
        for complexity in ("simple", "complex")
    )
}


def test_the_stated_shares_come_out():
    balance = balanced([Source("a", everything(ALL), 2.0), Source("b", everything(ALL)[:40], 1.0)])
    assert balance.shortfalls == ("mode: no record is text, its 5% go to the others",)
    assert drawn_shares(balance.sources, "complexity") == pytest.approx({"simple": 0.3, "complex": 0.7}, abs=2e-3)
    lengths = drawn_shares(balance.sources, "length")
    assert lengths == pytest.approx({"short": 0.45, "medium": 0.1, "long": 0.45}, abs=2e-3)
    modes = drawn_shares(balance.sources, "mode")
    assert modes == pytest.approx(
        {"analysis": 0.5 / 0.95, "voice chat": 0.35 / 0.95, "interleaved": 0.1 / 0.95}, abs=2e-3
    )
    for axis in ("mode", "complexity", "length"):
        shown = {name: share for name, share in balance.expected[axis].items() if share}
        assert shown == pytest.approx(drawn_shares(balance.sources, axis), abs=1e-9)
    assert balance.counts["complexity"]["simple"] == sum(
        cell_of(item).complexity == "simple" for source in balance.sources for item in source.records
    )


def test_draws_by_the_weights_keep_to_binomial_bounds():
    [source] = balanced([Source("a", everything(ALL), 1.0)]).sources
    weights = np.array(source.record_weights)
    drawn = np.random.default_rng(7).choice(len(weights), size=20_000, p=weights / weights.sum())
    count = sum(cell_of(source.records[place]).complexity == "complex" for place in drawn)
    assert abs(count - 20_000 * 0.7) <= 5 * math.sqrt(20_000 * 0.7 * 0.3)


def test_records_of_one_cell_stay_alike_and_sources_keep_their_weights_where_they_may():
    records = [record("short", "analysis", "simple", n) for n in range(4)]
    balance = balanced([Source("a", records, 3.0), Source("b", records, 1.0)])
    assert [source.weight for source in balance.sources] == pytest.approx([3.0, 1.0])
    assert all(len(set(source.record_weights)) == 1 for source in balance.sources)
    assert "complexity: no record is complex, its 70% go to the others" in balance.shortfalls


def test_the_own_weights_of_records_are_bent_not_lost():
    records = [record("short", "analysis", "simple", n) for n in range(2)]
    [source] = balanced([Source("a", records, 1.0, [1.0, 3.0])]).sources
    assert source.record_weights[1] == pytest.approx(3 * source.record_weights[0])


def test_text_conversations_take_their_share_and_no_length():
    counts = ALL | {Cell("none", "text", "simple"): 5}
    balance = balanced([Source("a", everything(counts), 1.0)])
    assert balance.shortfalls == ()
    assert drawn_shares(balance.sources, "mode")["text"] == pytest.approx(0.05, abs=2e-3)
    lengths = drawn_shares(balance.sources, "length")
    assert lengths["short"] == pytest.approx(0.45 * 0.95, abs=2e-3)
    assert lengths["none"] == pytest.approx(0.05, abs=2e-3)


def test_no_record_is_drawn_more_often_than_the_change_allows_and_the_rest_is_told():
    records = [record("short", "analysis", "simple", n) for n in range(999)] + [record("long", "analysis", "complex")]
    balance = balanced([Source("a", records, 1.0)], BalanceSettings(most_change=20))
    weights = balance.sources[0].record_weights
    share = weights[-1] / sum(weights)
    assert share == pytest.approx(20 * 0.001)
    told = "".join(balance.shortfalls)
    assert f"complexity: complex gets {share:.1%} of the draws, not 70.0%: the classes" in told
    assert "do not allow it within a change of 20 times" in told


def test_ratios_that_contradict_each_other_are_told():
    """All that is complex is short: long and complex cannot both have their shares."""
    counts = {Cell("short", "analysis", "complex"): 50, Cell("long", "analysis", "simple"): 50}
    balance = balanced([Source("a", everything(counts), 1.0)])
    assert any("classes of the records do not allow it" in sentence for sentence in balance.shortfalls)


@given(
    counts=st.lists(st.integers(0, 30), min_size=18, max_size=18).filter(any),
    most_change=st.floats(1, 50),
)
@settings(max_examples=20)
def test_whatever_the_data_weights_are_positive_and_shares_add_up(counts: list[int], most_change: float):
    cells = {cell: count for cell, count in zip(ALL, counts, strict=True) if count}
    balance = balanced([Source("a", everything(cells), 1.0)], BalanceSettings(most_change=most_change))
    weights = balance.sources[0].record_weights
    assert min(weights) > 0
    mean = sum(weights) / len(weights)  # what each had before
    assert max(weights) <= mean * most_change * (1 + 1e-6)
    assert min(weights) >= mean / most_change * (1 - 1e-6)
    assert all(sum(of.values()) == pytest.approx(1) for of in balance.expected.values())


@pytest.mark.parametrize("length_s", [29.9, 30.0, 119.9, 120.0])
def test_lengths(length_s: float):
    item = replace(record("short", "analysis", "simple"), recordings=(Recording(Path("x"), duration_s=length_s),))
    assert cell_of(item).length == {29.9: "short", 30.0: "medium", 119.9: "medium", 120.0: "long"}[length_s]


def test_a_length_that_no_line_states_is_read_from_the_recording(recordings: list[Path]):
    item = replace(record("long", "analysis", "simple"), recordings=(Recording(recordings[0]),))
    assert cell_of(item).length == "short"


def test_classes_of_labelled_recordings():
    heard = (Recording(Path("x"), duration_s=3.0),)
    labelled = Labelled("m:1", "i", "s", heard, "asr", "why " * 80)
    assert cell_of(labelled) == Cell("short", "analysis", "simple")
    assert cell_of(replace(labelled, task="voice_chat")) == Cell("short", "voice chat", "complex")
    assert cell_of(replace(labelled, task="voice_chat", target="Yes.")) == Cell("short", "voice chat", "simple")


def test_what_has_no_class_keeps_its_weight():
    bad = record("short", "analysis", "middling", 1)
    with pytest.raises(UserError, match="d:1: complexity 'middling', expected simple or complex"):
        cell_of(bad)
    preference = Preference("p:1", "p", "s", (), (), "a", "b")
    with pytest.raises(UserError, match="p:1: a preference has no mode; give the line to dpo"):
        cell_of(preference)
    records = [*everything(ALL), bad, preference]
    [source] = balanced([Source("a", records, 1.0)]).sources
    assert source.record_weights[-2:] == [1.0, 1.0]
    with pytest.raises(UserError, match="no record of the data can be read, so nothing can be balanced"):
        balanced([Source("a", [bad], 1.0)])


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"complexity": (1.0, -0.1)}, r"shares of complexity must be numbers above 0: got \[1.0, -0.1\]"),
        ({"length": (1, 0, 1)}, r"shares of length must be numbers above 0: got \[1, 0, 1\]"),
        ({"most_change": 0.5}, r"most_change must be at least 1: got 0.5; 1 leaves the draws as they are"),
    ],
)
def test_shares_that_are_none(changed: dict, sentence: str):
    with pytest.raises(UserError, match=sentence):
        BalanceSettings(**changed)


def turns(question: str, answer: str = "Yes.") -> list[Message]:
    return [Message("user", (Audio(), question)), Message("assistant", (answer,))]


@pytest.mark.parametrize(
    ("question", "complexity"),
    [
        ("Transcribe this.", "simple"),
        ("What's the mood of the speaker?", "simple"),
        ("Translate the speech into German.", "simple"),
        ("Is it a reasonable plane?", "simple"),
        ("How many people speak?", "simple"),
        ("Analyze the emotional progression.", "complex"),
        ("Why does she hesitate?", "complex"),
        ("Compare the two voices.", "complex"),
        ("How does the mood change between the verses?", "complex"),
        ("Fasse zusammen", "simple"),  # the rule reads English and Chinese
        ("分析说话人的情绪", "complex"),
        ("这是什么声音", "simple"),
        ("word " * (LONG_INSTRUCTION_WORDS - 1), "simple"),
        ("word " * LONG_INSTRUCTION_WORDS, "complex"),
        ("字" * (2 * LONG_INSTRUCTION_WORDS), "complex"),
    ],
)
def test_the_rule_of_complexity(question: str, complexity: str):
    assert judge_complexity(turns(question)) == complexity


def test_a_long_answer_is_complex_and_a_system_prompt_is_nothing():
    assert judge_complexity(turns("What is it?", "word " * LONG_ANSWER_WORDS)) == "complex"
    assert judge_complexity(turns("What is it?", "Why do you explain? " * 10)) == "simple"
    assert judge_complexity([Message("system", ("Explain why. " * 60,)), *turns("What is it?")]) == "simple"


def test_what_the_data_say_is_believed():
    assert cell_of(record("short", "analysis", "complex")).complexity == "complex"
    assert cell_of(record("short", "analysis", None)).complexity == "simple"
