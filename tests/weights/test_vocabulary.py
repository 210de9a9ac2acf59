"""Tokens added to a text model's tokenizer: only what is missing, in the first free places, and old text as before."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import tokenizers
import torch

from auricle.errors import UserError
from auricle.text import Tokenizer
from auricle.weights.vocabulary import NEEDED, PAD, Vocabulary, extend_rows, extend_vocabulary

Write = Callable[..., Path]
LETTERS = {chr(97 + i): i for i in range(20)}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """tokenizer.json of twenty letters, some more words, and some added tokens."""

    def write(*added: str, words: tuple[str, ...] = (), **changes: object) -> Path:
        vocabulary = LETTERS | {word: len(LETTERS) + i for i, word in enumerate(words)}
        tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
        tokenizer.add_special_tokens(list(added))
        path = tmp_path / "tokenizer.json"
        path.write_text(json.dumps(json.loads(tokenizer.to_str()) | changes))
        return path

    return write


def test_only_what_is_missing_is_added(write: Write):
    path = write("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    made = extend_vocabulary(path, num_rows=64, needs_pad=False)
    assert made.num_old == 23
    assert [made.ids[token] for token in NEEDED] == [21, 22, 23, 24, 25]  # as in the published 7B: right after Qwen2's
    assert made.new_ids == (23, 24, 25)
    assert Tokenizer(made.tokenizer_json).special("<|AUDIO|>") == 23


def test_a_tokenizer_that_has_all_is_left_alone(write: Write):
    path = write(*NEEDED)
    made = extend_vocabulary(path, num_rows=64, needs_pad=False)
    assert (made.new_ids, made.num_rows) == ((), 64)
    assert json.loads(made.tokenizer_json) == json.loads(path.read_text())


def test_a_word_of_that_spelling_becomes_the_token(write: Write):
    made = extend_vocabulary(write(words=("<|im_end|>",)), num_rows=64, needs_pad=False)
    assert made.ids["<|im_end|>"] == 20
    assert made.new_ids == (21, 22, 23, 24)
    assert Tokenizer(made.tokenizer_json).special("<|im_end|>") == 20


def test_padding_is_added_where_it_is_needed(write: Write):
    assert PAD not in extend_vocabulary(write(), num_rows=64, needs_pad=False).ids
    assert extend_vocabulary(write(), num_rows=64, needs_pad=True).ids[PAD] == 25


@pytest.mark.parametrize(("rows", "expected"), [(20, 64), (25, 64), (64, 64), (65, 128), (128, 128), (130, 192)])
def test_rows_are_a_multiple_of_64_and_never_fewer(rows: int, expected: int, write: Write):
    assert extend_vocabulary(write(), num_rows=rows, needs_pad=False).num_rows == expected


START = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {"<s>": {"id": "<s>", "ids": [20], "tokens": ["<s>"]}}}  # fmt: skip  # noqa: E501
TRIM = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}


@pytest.mark.parametrize("post", [START, {"type": "Sequence", "processors": [TRIM, START]}], ids=["alone", "in a row"])
def test_tokens_put_around_a_text_are_taken_off(post: dict[str, object], write: Write):
    path = write("<s>", post_processor=post)
    assert tokenizers.Tokenizer.from_file(str(path)).encode("ab").ids == [20, 0, 1]
    made = extend_vocabulary(path, num_rows=64, needs_pad=False)
    assert tokenizers.Tokenizer.from_str(made.tokenizer_json).encode("ab").ids == [0, 1]


def test_one_that_only_trims_stays(write: Write):
    made = extend_vocabulary(write(post_processor=TRIM), num_rows=64, needs_pad=False)
    assert json.loads(made.tokenizer_json)["post_processor"] == TRIM


def test_new_rows_are_average_and_distinct():
    table = torch.randn(40, 8, generator=torch.Generator().manual_seed(0)) + 3
    made = Vocabulary("", {}, new_ids=(30, 31), num_old=30, num_rows=64)
    grown = extend_rows(table, made, torch.Generator().manual_seed(1))
    assert grown.shape == (64, 8)
    assert grown[:30].equal(table[:30])
    assert grown[32:40].equal(table[32:40])  # spare rows that no token uses
    new = grown[[30, 31, *range(40, 64)]]
    distance = new - table[:30].mean(dim=0)
    assert 0.05 < (distance.std() / table[:30].std()).item() < 0.2
    assert len({tuple(row) for row in new.tolist()}) == len(new)
    assert not extend_rows(table, made, torch.Generator().manual_seed(2))[30].equal(grown[30])


def test_no_or_a_damaged_tokenizer(tmp_path: Path):
    path = tmp_path / "tokenizer.json"
    with pytest.raises(UserError, match=r"no tokenizer\.json in .*; write one with transformers' AutoTokenizer"):
        extend_vocabulary(path, num_rows=64, needs_pad=False)
    for contents in ("{", "[]", '{"added_tokens": []}'):
        path.write_text(contents)
        with pytest.raises(UserError, match=r"tokenizer\.json is damaged: .+; fetch it again"):
            extend_vocabulary(path, num_rows=64, needs_pad=False)
