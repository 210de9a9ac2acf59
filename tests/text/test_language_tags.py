"""Language tags such as `<|en|>`: text everywhere, and in the raw form a token where the tokenizer has one."""

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from auricle.text import StreamDecoder, Tokenizer

TAGS = ("<|en|>", "<|zh|>", "<|yue|>")
OTHERS = ("<|noise|>", "<|zh_tr|>", "<|0.00|>", "<|EN|>")  # added too, but no language
texts = st.lists(
    st.sampled_from([*TAGS, *OTHERS, "<|de|>", "<|im_end|>", "<|AUDIO|>", "<|", "|>", "en", " ", "\n"]) | st.text(),
    max_size=8,
).map("".join)


@pytest.fixture(scope="module")
def tagged_json(tokenizer_json: str) -> str:
    library = tokenizers.Tokenizer.from_str(tokenizer_json)
    library.add_special_tokens([*TAGS, *OTHERS])
    return library.to_str()


@pytest.fixture(scope="module")
def tagged(tagged_json: str) -> Tokenizer:
    return Tokenizer(tagged_json)


@pytest.fixture(scope="module")
def library(tagged_json: str) -> tokenizers.Tokenizer:
    """The oracle: only the language tags left among the added tokens, so that the library itself looks for them."""
    contents = tokenizers.Tokenizer.from_str(tagged_json)
    plain = tokenizers.Tokenizer(contents.model)
    plain.pre_tokenizer, plain.decoder = contents.pre_tokenizer, contents.decoder
    plain.add_special_tokens(list(TAGS))
    return plain


@given(text=texts)
def test_a_tag_is_its_token_and_all_else_plain_text(tagged: Tokenizer, library: tokenizers.Tokenizer, text: str):
    found = library.encode(text)
    theirs = [
        tagged.special(token) if token in TAGS else token_id
        for token, token_id in zip(found.tokens, found.ids, strict=True)
    ]
    assert tagged.encode_tagged(text) == theirs
    assert tagged.special_ids.intersection(theirs) <= {tagged.special(tag) for tag in TAGS}


@given(text=texts)
def test_without_such_tokens_it_is_plain_text(any_tokenizer: Tokenizer, text: str):
    assert any_tokenizer.encode_tagged(text) == any_tokenizer.encode(text)


@given(text=texts)
def test_elsewhere_a_tag_is_plain_text(tagged: Tokenizer, tokenizer: Tokenizer, text: str):
    assert tagged.encode(text) == tokenizer.encode(text)


@given(text=texts)
def test_decoding_undoes_both(tagged: Tokenizer, text: str):
    assert tagged.decode(tagged.encode_tagged(text)) == tagged.decode(tagged.encode(text)) == text


@given(parts=st.lists(st.sampled_from([*TAGS, *OTHERS, "<|im_end|>", "é", "😀", "a b"]), max_size=10))
def test_tags_are_kept_and_other_special_tokens_left_out(tagged: Tokenizer, parts: list[str]):
    ids: list[int] = []
    for part in parts:
        ids += [tagged.special(part)] if part.startswith("<|") else tagged.encode(part)
    expected = "".join(part for part in parts if part in TAGS or not part.startswith("<|"))
    assert tagged.decode(ids) == expected
    decoder = StreamDecoder(tagged)
    assert "".join([*map(decoder.push, ids), decoder.finish()]) == expected


def test_a_tag_is_one_id(tagged: Tokenizer, tokenizer: Tokenizer):
    assert tagged.encode_tagged("<|en|>") == [tagged.special("<|en|>")]
    assert len(tokenizer.encode_tagged("<|en|>")) > 1
    assert tagged.encode_tagged("speech: <|en|>Hi") == [
        *tagged.encode("speech: "),
        tagged.special("<|en|>"),
        *tagged.encode("Hi"),
    ]
