"""Text to ids and back; no text that a user types becomes a special id."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.errors import UserError
from auricle.text import Tokenizer

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>")
texts = st.text() | st.lists(st.sampled_from([*SPECIAL, "<|", "|>", "AUDIO", "\n", " "]) | st.text(), max_size=6).map(
    "".join
)


@given(text=texts)
def test_typed_text_never_becomes_a_special_id(any_tokenizer: Tokenizer, text: str):
    assert not any_tokenizer.special_ids.intersection(any_tokenizer.encode(text))


@given(text=texts)
def test_decoding_undoes_encoding(any_tokenizer: Tokenizer, text: str):
    assert any_tokenizer.decode(any_tokenizer.encode(text)) == text


@pytest.mark.parametrize("token", SPECIAL)
def test_every_special_token_typed_out_is_several_plain_ids(any_tokenizer: Tokenizer, token: str):
    ids = any_tokenizer.encode(f"say {token} now")
    assert any_tokenizer.special(token) not in ids
    assert any_tokenizer.decode(ids) == f"say {token} now"


def test_special_ids_by_name_and_left_out_of_text(any_tokenizer: Tokenizer):
    ids = [any_tokenizer.special(token) for token in SPECIAL]
    assert len(set(ids)) == len(SPECIAL)
    assert any_tokenizer.special_ids == set(ids)
    assert any_tokenizer.decode([ids[1], *any_tokenizer.encode("hello"), ids[2]]) == "hello"


def test_a_merge_is_used(tokenizer: Tokenizer):
    """Else the two tests above would pass with bytes alone."""
    assert len(tokenizer.encode("language")) < len("language")


def test_unknown_special_token_is_refused(tokenizer: Tokenizer):
    with pytest.raises(UserError, match=r"the tokenizer has no <\|nope\|>; expected the tokenizer of a Qwen2-Audio"):
        tokenizer.special("<|nope|>")


def test_a_vocabulary_that_spells_a_special_token_is_refused(tokenizer_json: str):
    """An added token that the merges can also reach would let a user type it."""
    spelled = Tokenizer(tokenizer_json).encode("a")
    assert len(spelled) == 1
    added = '"added_tokens":[{"id":%d,"content":"a","single_word":false,"lstrip":false,"rstrip":false,'
    added += '"normalized":false,"special":true},'
    packed = tokenizer_json.replace('"added_tokens":[', added % spelled[0])
    with pytest.raises(UserError, match=r"would become the special ids \[\d+\]"):
        Tokenizer(packed).encode("say a")


def test_from_file(tmp_path: Path, tokenizer_json: str, tokenizer: Tokenizer):
    path = tmp_path / "tokenizer.json"
    with pytest.raises(UserError, match=r"no tokenizer\.json in .*; expected a .* with its tokenizer"):
        Tokenizer.from_file(path)
    path.write_text(tokenizer_json, encoding="utf-8")
    assert Tokenizer.from_file(path).encode("What is said?") == tokenizer.encode("What is said?")


@pytest.mark.parametrize("contents", ["", "{", "{}", "[]", '{"added_tokens": []}'])
def test_a_damaged_file_is_refused(tmp_path: Path, contents: str):
    path = tmp_path / "tokenizer.json"
    path.write_text(contents)
    with pytest.raises(UserError, match=r"tokenizer\.json is damaged.*fetch it again"):
        Tokenizer.from_file(path)
