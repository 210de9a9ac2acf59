"""Loops at the end of a text are cut to one turn; other texts stay as they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.assistant.loops import drop_loop


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a b c b c b c b", "a b c"),
        ("no no no no no", "no"),
        ("press two, press three, press two, press three, press two, press three, press", "press two, press three,"),
        ("jump four words, jump four words, jump four words, jump four wo", "jump four words,"),
        ("Thank you.", "Thank you."),
        ("very very good", "very very good"),
        ("one two one two three", "one two one two three"),
        ("", ""),
    ],
)
def test_examples(text, kept):
    assert drop_loop(text) == kept


@given(st.lists(st.integers(0, 10**6), unique=True, max_size=60))
def test_a_text_without_repetition_is_untouched(numbers):
    text = " ".join(map(str, numbers))
    assert drop_loop(text) == text


@given(st.lists(st.integers(0, 10**6), unique=True, min_size=1, max_size=30), st.integers(0, 20), st.integers(4, 6))
def test_a_planted_loop_is_cut_to_one_turn(numbers, num_before, turns):
    words = [str(number) for number in numbers]
    before = [f"x{place}" for place in range(num_before)]
    assert drop_loop(" ".join(before + words * turns)) == " ".join(before + words)
