"""The cache of rows that come and go: each row goes on as if it were alone."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from auricle.generate.forward import Prefilled, advance, read
from auricle.model import ModelInput, PartedCache, Qwen2Audio, RunningCache, running_cache
from auricle.model.running_cache import split_off

Make = Callable[..., Qwen2Audio]
SHAPES: list[dict[str, Any]] = [{}, {"num_kv_heads": 4}, {"sliding_window": 3, "sliding_layers": (1,)}]


def prompts(*rows: list[int]) -> ModelInput:
    longest = max(map(len, rows))
    ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
    valid = torch.tensor([[place >= longest - len(row) for place in range(longest)] for row in rows])
    return ModelInput(ids, valid, torch.zeros(0, 0, 0), torch.zeros(0, dtype=torch.int64))


class Texts:
    """A cache beside the texts that it should hold."""

    def __init__(self, model: Qwen2Audio, *, apart: int | None = None) -> None:
        self.model, self.texts = model, []
        self.cache = (
            PartedCache(model.config.text.windows, apart=apart) if apart else RunningCache(model.config.text.windows)
        )

    def join(self, *rows: list[int], room: int = 0) -> None:
        prefilled: Prefilled = read(self.model, prompts(*rows))
        with torch.inference_mode():
            self.cache.join(prefilled.cache, range(len(rows)), [len(row) for row in rows], room=room)
        self.texts += [list(row) for row in rows]

    def say(self, seed: int) -> None:
        """One more token of each; the scores are those of the whole text read at once, without a cache."""
        said = torch.randint(1, 300, (len(self.texts),), generator=torch.Generator().manual_seed(seed))
        places = torch.tensor(self.cache.lengths)
        with torch.inference_mode():
            logits = advance(self.model, said, places, self.cache)
        self.texts = [[*text, token] for text, token in zip(self.texts, said.tolist(), strict=True)]
        whole = [self.model(prompts(text))[0, -1] for text in self.texts]
        torch.testing.assert_close(logits, torch.stack(whole), atol=1e-4, rtol=1e-4)
        assert self.cache.lengths == list(map(len, self.texts))

    def keep(self, *rows: int) -> None:
        with torch.inference_mode():
            order = self.cache.keep(rows)
        assert sorted(order) == sorted(rows)
        self.texts = [self.texts[row] for row in order]


def text(length: int, seed: int) -> list[int]:
    return torch.randint(1, 300, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


@pytest.mark.parametrize("shape", SHAPES, ids=["GQA", "MHA", "sliding"])
@pytest.mark.parametrize("calls_are", ["dear", "free"])
def test_rows_join_grow_and_leave(
    shape: dict[str, Any], calls_are: str, tiny_model: Make, monkeypatch: pytest.MonkeyPatch
):
    """Whether the longest attend alone or all are padded; through several growths of rows and tokens."""
    monkeypatch.setattr(running_cache, "_CALL_BYTES", 2**30 if calls_are == "dear" else 0)
    texts = Texts(tiny_model(seed=3, **shape))
    texts.join(text(5, 0), text(2, 1), text(9, 2), room=2)
    texts.say(0)
    texts.join(text(70, 3))
    texts.say(1)
    texts.keep(1, 2, 3)
    texts.say(2)
    texts.join(text(1, 4), text(3, 5))
    for seed in range(3, 6):
        texts.say(seed)
    texts.keep(4)
    texts.say(6)
    texts.keep()
    texts.join(text(4, 6), text(4, 7))
    texts.say(7)


@pytest.mark.parametrize("shape", SHAPES, ids=["GQA", "MHA", "sliding"])
def test_long_rows_have_buffers_of_their_own(shape: dict[str, Any], tiny_model: Make):
    """They join beside short ones or among them, a short one becomes one as it grows, and all leave at any time."""
    texts = Texts(tiny_model(seed=3, **shape), apart=8)
    texts.join(text(5, 0), text(20, 1), text(7, 2), text(9, 3))
    for seed in range(3):
        texts.say(seed)  # 7 tokens become 10
    short = {part for part, _ in texts.cache._places if len(part.lengths) > 1}
    assert [length for length in texts.cache.lengths if length > 8] == [23, 10, 12]
    assert not short
    texts.join(text(2, 4), text(3, 5), text(150, 6))
    texts.say(3)
    token_bytes = sum(buffer.nbytes for layer in texts.cache.copy_row(0, 1) for buffer in layer)
    assert texts.cache.num_bytes < 7 * 150 * token_bytes
    row = texts.texts.index(max(texts.texts, key=len))
    lone = read(texts.model, prompts(texts.texts[row])).cache
    for (keys, values), theirs, other in zip(texts.cache.copy_row(row, 100), lone.keys, lone.values, strict=True):
        torch.testing.assert_close(keys, theirs[0, :, :100], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(values, other[0, :, :100], atol=1e-4, rtol=1e-4)
    texts.keep(1, 3, 4, 6)
    for seed in range(4, 12):
        texts.say(seed)
    texts.keep(0, 2)
    texts.say(12)
    texts.keep()
    texts.join(text(4, 7))
    texts.say(13)


@pytest.mark.parametrize("wrong", ["sees one less", "sees one more", "forgets windows"])
def test_a_wrong_length_is_noticed(wrong: str, tiny_model: Make, monkeypatch: pytest.MonkeyPatch):
    """Negative control: the comparison above fails where a mask is off by one place, or has no window."""
    seen = RunningCache._seen

    def off(self: RunningCache, place_R: torch.Tensor, window: int | None) -> torch.Tensor | None:
        by = {"sees one less": -1, "sees one more": 1}.get(wrong, 0)
        return seen(self, place_R + by, None if wrong == "forgets windows" else window)

    texts = Texts(tiny_model(seed=3, sliding_window=3, sliding_layers=(1,)))
    texts.join(text(5, 0), text(8, 1))
    texts.say(0)
    texts.join(text(3, 2))
    monkeypatch.setattr(RunningCache, "_seen", off)
    with pytest.raises(AssertionError, match="not close"):
        texts.say(1)


def test_what_was_no_number_is_forgotten_with_its_row(tiny_model: Make):
    """A row whose numbers overflowed must not reach the one that takes its slot."""
    texts = Texts(tiny_model(seed=3))
    texts.join(text(30, 0), text(5, 1), room=64)
    with torch.inference_mode():
        for buffer in (*texts.cache._keys, *texts.cache._values):
            buffer[0] = torch.nan
    texts.keep(1)
    texts.join(text(4, 2))
    texts.say(0)


def test_many_comings_and_goings_never_need_more_than_the_most_there_was(tiny_model: Make):
    model, rng = tiny_model(), random.Random(0)
    texts, peak = Texts(model), 0
    for turn in range(120):
        rows = rng.randint(1, 3)
        texts.join(*(text(rng.randint(1, 90), turn * 3 + n) for n in range(rows)), room=64)
        peak = max(peak, len(texts.texts) * max(map(len, texts.texts)))
        there = list(range(len(texts.texts)))
        texts.keep(*rng.sample(there, min(len(there), rng.randint(0, 6))))
    per_token = 2 * 2 * 2 * 8 * 4  # layers, keys and values, heads, width, bytes
    assert texts.cache.num_bytes <= 1.25 * (peak + 6 * 128) * per_token * 1.5
    assert texts.cache._keys[0].shape[0] <= 10


def test_joining_gives_the_source_back(tiny_model: Make):
    """What prefill left is not held beside its copy."""
    model = tiny_model()
    cache, prefilled = RunningCache(model.config.text.windows), read(model, prompts(text(5, 0), text(7, 1)))
    with torch.inference_mode():
        cache.join(prefilled.cache, [0, 1], [5, 7], room=0)
    assert {buffer.untyped_storage().nbytes() for buffer in (*prefilled.cache.keys, *prefilled.cache.values)} == {0}


def test_a_copied_row_is_its_own_memory(tiny_model: Make):
    texts = Texts(tiny_model())
    texts.join(text(5, 0), text(7, 1))
    with torch.inference_mode():
        layers = texts.cache.copy_row(1, 6)
    before = [keys.clone() for keys, _ in layers]
    texts.keep(0)
    texts.join(text(7, 2))
    texts.say(0)
    assert all(keys.equal(same) for (keys, _), same in zip(layers, before, strict=True))
    assert {keys.shape for keys, _ in layers} == {(2, 6, 8)}
    assert {keys.untyped_storage().nbytes() for keys, _ in layers} == {2 * 6 * 8 * 4}


def test_one_token_a_row_and_step(tiny_model: Make):
    texts = Texts(tiny_model())
    texts.join(text(5, 0), text(7, 1))
    with pytest.raises(ValueError, match="one token of each of 2 rows"):
        texts.cache.attention(torch.ones(1, 1, dtype=torch.bool))


@given(lengths=st.lists(st.integers(1, 300), min_size=1, max_size=12), call_tokens=st.integers(0, 400))
def test_the_split_is_the_cheapest(lengths: list[int], call_tokens: int):
    def cost(end: int) -> int:
        longer = [length for length in lengths if length > end]
        return len(lengths) * end + sum(longer) + call_tokens * len(longer)

    alone, end = split_off(lengths, call_tokens)
    assert {lengths[row] for row in alone} == {length for length in lengths if length > end}
    assert len(alone) < len(lengths)
    assert cost(end) == min(map(cost, lengths))


def test_split_by_hand():
    assert split_off([10, 90, 10, 10], 20) == ([1], 10)
    assert split_off([10, 90, 10, 10], 400) == ([], 90)
