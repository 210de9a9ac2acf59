"""Pieces of text while ids arrive: joined they are the whole text, and no piece shows half a character."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.text import StreamDecoder, Tokenizer


def pieces(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    decoder = StreamDecoder(tokenizer)
    return [*(decoder.push(token_id) for token_id in ids), decoder.finish()]


@given(text=st.text() | st.text(alphabet="aé€😀👩‍👩‍👧\u0301\ufffd \n"))
def test_pieces_joined_are_the_text(any_tokenizer: Tokenizer, text: str):
    assert "".join(pieces(any_tokenizer, any_tokenizer.encode(text))) == text


@given(ids=st.lists(st.integers(0, 400), max_size=40))
def test_pieces_of_any_ids_joined_are_the_whole_decode(any_tokenizer: Tokenizer, ids: list[int]):
    """Ids in an order no text has: broken characters, special tokens, ids past the end of the vocabulary."""
    assert "".join(pieces(any_tokenizer, ids)) == any_tokenizer.decode(ids)


@given(parts=st.lists(st.sampled_from(["<s>", "é", "😀", "a", "b "]), max_size=12), data=st.data())
def test_special_ids_and_cut_characters_in_between(any_tokenizer: Tokenizer, parts: list[str], data: st.DataObject):
    special = any_tokenizer.special("<|im_start|>")
    ids = [i for part in parts for i in ([special] if part == "<s>" else any_tokenizer.encode(part))]
    dropped = data.draw(st.sets(st.integers(0, max(0, len(ids) - 1))))
    ids = [token_id for place, token_id in enumerate(ids) if place not in dropped]
    assert "".join(pieces(any_tokenizer, ids)) == any_tokenizer.decode(ids)


@pytest.mark.parametrize("character", ["é", "€", "😀"])
def test_half_a_character_is_held_back(tokenizer: Tokenizer, character: str):
    ids = tokenizer.encode(character)
    assert len(ids) > 1
    assert pieces(tokenizer, ids) == [*[""] * (len(ids) - 1), character, ""]


def test_half_a_character_at_the_end_comes_as_the_tokenizer_shows_it(tokenizer: Tokenizer):
    ids = tokenizer.encode("ab€")[:-1]
    *pushed, last = pieces(tokenizer, ids)
    assert "".join(pushed) == "ab"
    assert last == tokenizer.decode(ids).removeprefix("ab")
    assert "\ufffd" in last


def test_plain_text_is_never_held_back(tokenizer: Tokenizer):
    ids = tokenizer.encode("the lazy dog")
    *pushed, last = pieces(tokenizer, ids)
    assert all(pushed)
    assert last == ""


def test_nothing_in_nothing_out(tokenizer: Tokenizer):
    assert pieces(tokenizer, []) == [""]
