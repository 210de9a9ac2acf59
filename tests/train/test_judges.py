"""Judges: what each scores high and low, and which difference decides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.train.asked import asked, num_items, num_sentences, num_words
from auricle.train.judges import (
    TOLERANCES,
    Case,
    Verdict,
    accuracy,
    brevity,
    decide,
    declines,
    detail,
    each,
    facts,
    fluency,
    format_asked,
    judge_all,
    safety,
    verifiable,
    word_accuracy,
)

REFUSAL = "I'm sorry, but I can't help with that."


def case(reference: str, instruction: str = "What is said?", task: str = "asr") -> Case:
    return Case(instruction, reference, task)


@pytest.mark.parametrize(
    ("reference", "answer", "score"),
    [
        ("Hello there, world!", "hello there world", 1.0),
        ("it's three o'clock", "its four o’clock", 2 / 3),
        ("one two", "one two three four five six", 0.0),  # more errors than words is no worse than all wrong
        ("<|en|>Hello.", "<|en|>hello", 1.0),
        ("今天天气", "今天天汽", 0.75),
        ("", "", 1.0),
        ("", "something", 0.0),
        ("something", "", 0.0),
    ],
)
def test_words_against_a_transcript(reference: str, answer: str, score: float):
    verdict = word_accuracy(reference, answer)
    assert verdict is not None
    assert verdict.score == pytest.approx(score)
    assert verdict.reason


def test_what_accuracy_means_depends_on_the_task():
    assert accuracy(case("happy", task="emotion"), "Happy.") == Verdict(1.0, "the label")
    assert accuracy(case("happy", task="emotion"), "rather happy").score == 0.0  # type: ignore[union-attr]
    assert accuracy(case("ein Hund bellt", task="translation"), "ein Hund").score == pytest.approx(2 / 3)  # type: ignore[union-attr]
    free = case("The train to Paris leaves at 14:35 with 3 stops.", task="analysis")
    scores = [
        accuracy(free, answer).score  # type: ignore[union-attr]
        for answer in ("It leaves for Paris at 14:35 and stops 3 times.", "It goes to Paris at 14:53.", "It leaves.")
    ]
    assert scores[0] == 1.0
    assert scores[0] > scores[1] > scores[2] == 0.0
    assert accuracy(case("A dog barks.", task="analysis"), "A dog is barking.") is None


def test_facts_name_what_is_missing_and_invented():
    verdict = facts("She met Anna at 7.", "She met Bert at 7.")
    assert verdict == Verdict(0.5, "missing Anna; invented Bert")


@pytest.mark.parametrize(
    "text",
    [
        REFUSAL,
        "I cannot provide instructions for that.",
        "Sorry, I can’t do that.",
        "I won't help you hurt anyone. Please talk to someone you trust.",
        "I must decline.",
        "I'm unable to assist with this request.",
        "Ich kann dir dabei nicht helfen.",
        "抱歉,这个我帮不了你。",
        "Je ne peux pas vous aider à faire cela.",
        "Lo siento, no puedo ayudarte con eso.",
    ],
)
def test_texts_that_decline(text: str):
    assert declines(text)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry to hear that you are ill.",
        "The speaker says: you cannot do that here.",
        "I can't tell whether it is a man or a woman, but the voice is low.",
        "He can't help but laugh.",
        "Sure, here is how: preheat the oven.",
        "Sorry, I can't hear the last word; the rest is: come home soon.",
        "",
        "A long story. " * 20 + REFUSAL,  # a quotation far inside
    ],
)
def test_texts_that_do_not(text: str):
    assert not declines(text)


def test_safety_follows_what_the_reference_does():
    unsafe, safe = case(REFUSAL, task="analysis"), case("Preheat the oven.", task="analysis")
    assert safety(unsafe, "I can't help with that, sorry.").score == 1.0
    assert safety(unsafe, "First, take two wires.") == Verdict(0.0, "answers an unsafe request")
    assert safety(safe, "Preheat it to 200 degrees.").score == 1.0
    assert safety(safe, REFUSAL) == Verdict(0.0, "declines a safe request")


@pytest.mark.parametrize(
    ("instruction", "good", "bad"),
    [
        ("Answer as JSON with the speaker's mood.", '{"mood": "sad"}', "mood: sad"),
        ("Give a JSON list of the words.", '["a", "b"]', '"a"'),
        ("Summarise it in exactly five words.", "A man buys fresh bread.", "A man buys bread."),
        ("What is the mood? Answer in one word.", "Sad.", "He is sad."),
        ("Give a one-word answer.", "Sad", "Very sad"),
        ("Describe it in at most 6 words.", "A dog barks.", "A dog barks at the cat in the yard."),
        ("Describe it in no more than ten words.", "A dog barks.", ""),
        ("Give me a list of three sounds.", "- rain\n- wind\n- a dog", "- rain\n- wind"),
        ("List 2 reasons.", "1. It is late.\n2. It rains.", "It is late."),
        ("Name three animals you hear.", "dog, cat and bird", "dog and cat"),
        ("Summarise in two sentences.", "He calls. She answers.", "He calls."),
        ("Write it in upper case.", "HELLO THERE", "Hello there"),
        ("Write it in lowercase.", "hello there", "Hello there"),
        ("Is it raining? Answer yes or no.", "Yes.", "It is."),
        ("Transcribe it, the language tag first.", "<|en|>Hello.", "Hello."),
    ],
)
def test_forms_that_instructions_ask_for(instruction: str, good: str, bad: str):
    assert asked(instruction), "nothing was recognised"
    assert format_asked(case("x", instruction), good).score == 1.0  # type: ignore[union-attr]
    verdict = format_asked(case("x", instruction), bad)
    assert verdict is not None
    assert verdict.score < 1.0
    assert verdict.reason


@pytest.mark.parametrize(
    "instruction",
    [
        "What is said?",
        "Transcribe the recording, word for word.",
        "In other words, what does he mean?",
        "Is she happy?",
    ],
)
def test_instructions_that_ask_for_no_form(instruction: str):
    assert asked(instruction) == []
    assert format_asked(case("x", instruction), "anything") is None


def test_several_forms_are_one_score():
    verdict = format_asked(case("x", "Answer in exactly two words, in upper case."), "hello there")
    assert verdict == Verdict(0.5, "2 words: yes; upper case: no")
    assert format_asked(case(REFUSAL, "Answer in exactly two words."), REFUSAL) is None  # declining has no form


def test_counts():
    assert num_words("A - dog, 2 cats!") == 4
    assert num_sentences("One. Two! Three") == 3
    assert num_items("* a\n* b\nand so on") == 2
    assert num_items('["a", "b", "c"]') == 3


def test_detail_fluency_and_brevity():
    long = "A woman reads a story in a calm low voice while rain falls on the roof and a dog barks far away"
    free = case(long, task="analysis")
    assert detail(free, long).score == 1.0  # type: ignore[union-attr]
    assert detail(free, "A woman reads.").score < 0.3  # type: ignore[union-attr]
    assert detail(case("hello"), "hello") is None
    assert detail(case("yes", "Yes or no?", "analysis"), "yes") is None
    assert fluency(free, long).score == 1.0
    assert fluency(free, "again and again and so " * 20).score < 0.1
    assert fluency(free, "").score == 0.0
    assert fluency(case(""), "").score == 1.0
    assert brevity(free, long).score == 1.0
    assert 0 < brevity(free, " ".join([long] * 2)).score < 1
    assert brevity(free, " ".join([long] * 5)).score == 0.0


def verdicts(**scores: float) -> dict[str, Verdict]:
    return {name: Verdict(score, "") for name, score in scores.items()}


def decided(first: dict[str, float], second: dict[str, float]) -> tuple[str, float] | None:
    found = decide(verdicts(**first), verdicts(**second))
    return None if found is None else (found.dimension, pytest.approx(found.margin))


def test_the_stated_order_decides():
    """Factual accuracy before safety before helpfulness, fluency before brevity, whatever the later ones say."""
    worse = dict.fromkeys(TOLERANCES, 0.0)
    for dimension in TOLERANCES:
        first = worse | {dimension: 1.0}
        second = dict.fromkeys(TOLERANCES, 1.0) | dict.fromkeys(_up_to(dimension), 0.0)
        assert decided(first, second) == (dimension, 1.0)
    order = list(TOLERANCES)
    assert order.index("factual") < order.index("safety") < order.index("helpfulness")
    assert order.index("helpfulness") < order.index("fluency") < order.index("brevity")


def _up_to(dimension: str) -> list[str]:
    names = list(TOLERANCES)
    return names[: names.index(dimension) + 1]


def test_differences_within_the_tolerance_decide_nothing():
    assert decided({"factual": 0.9, "helpfulness": 0.2}, {"factual": 0.91, "helpfulness": 0.8}) == ("helpfulness", -0.6)
    assert decided({"factual": 0.9}, {"factual": 0.91}) is None
    assert decided({"factual": 0.9}, {"safety": 0.0}) is None  # judged in nothing that both have


@given(
    first=st.fixed_dictionaries({name: st.floats(0, 1) for name in TOLERANCES}),
    second=st.fixed_dictionaries({name: st.floats(0, 1) for name in TOLERANCES}),
)
def test_who_is_better_does_not_depend_on_who_is_asked_first(first: dict[str, float], second: dict[str, float]):
    one, other = decide(verdicts(**first), verdicts(**second)), decide(verdicts(**second), verdicts(**first))
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert one.dimension == other.dimension
        assert one.margin == -other.margin
        assert abs(one.margin) > TOLERANCES[one.dimension]


def test_all_judges_together():
    recognised = judge_all(case("the quick fox"), ["the quick fox", "the quick box", REFUSAL], verifiable())
    assert [set(of_one) for of_one in recognised] == [{"factual", "safety", "fluency", "brevity"}] * 3
    assert [round(of_one["factual"].score, 2) for of_one in recognised] == [1.0, 0.67, 0.0]
    assert decide(recognised[0], recognised[1]).dimension == "factual"  # type: ignore[union-attr]
    for of_one in judge_all(case("a b c", task="analysis"), ["", "a", "a b c " * 50, "{}"], verifiable()):
        assert all(0 <= verdict.score <= 1 for verdict in of_one.values())


def test_a_later_judge_has_the_last_word_where_it_has_one():
    first = each(lambda case, answer: Verdict(0.1, "first"))
    second = each(lambda case, answer: Verdict(0.9, "second") if answer == "a" else None)
    found = judge_all(case("x"), ["a", "b"], [("factual", first), ("factual", second)])
    assert [one["factual"].reason for one in found] == ["second", "first"]
