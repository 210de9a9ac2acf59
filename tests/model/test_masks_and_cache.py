"""Who sees whom, and the cache: compared with loops over single queries and with the whole sequence at once."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from auricle.model import KVCache, ModelInput, Qwen2Audio, Qwen2AudioConfig
from auricle.model.layers import RMSNorm, causal_mask, dense_attention, rotary_tables, rotate

Make = Callable[..., Qwen2Audio]
Config = Callable[..., Qwen2AudioConfig]

rows = st.integers(1, 6).flatmap(lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=1))


@given(valid=rows, window=st.none() | st.integers(1, 7), data=st.data())
def test_causal_mask(valid: list[list[bool]], window: int | None, data: st.DataObject):
    num_tokens = len(valid[0])
    num_queries = data.draw(st.integers(1, num_tokens))
    mask = causal_mask(torch.tensor(valid), num_queries, window=window)
    assert mask.shape == (len(valid), 1, num_queries, num_tokens)
    for row, marks in enumerate(valid):
        for place in range(num_queries):
            query = num_tokens - num_queries + place
            for key in range(num_tokens):
                near = window is None or key in range(query - window + 1, query + 1)
                sees = key == query or (key < query and near and marks[key])
                assert mask[row, 0, place, key].item() == sees


def test_attention_is_the_softmax_formula():
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, heads, 5, 8, generator=generator) for heads in (4, 2, 2))
    seen = causal_mask(torch.tensor([[True] * 5, [False, False, True, True, True]]), 5)
    got = dense_attention(seen)(q, k, v)
    for batch in range(2):
        for head in range(4):
            scores = q[batch, head] @ k[batch, head // 2].T / 8**0.5
            weights = scores.masked_fill(~seen[batch, 0], -torch.inf).softmax(dim=-1)
            torch.testing.assert_close(got[batch, head], weights @ v[batch, head // 2])


def test_rotation_keeps_lengths_and_depends_on_distance_alone():
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, 1, 1, 8, generator=generator) for _ in range(2))

    def score(query_at: int, key_at: int) -> float:
        turned = [
            rotate(x, rotary_tables(torch.tensor([[place]]), head_width=8, theta=100.0))
            for x, place in ((q, query_at), (k, key_at))
        ]
        assert turned[0].norm().item() == pytest.approx(q.norm().item(), rel=1e-5)
        return (turned[0] * turned[1]).sum().item()

    assert score(7, 3) == pytest.approx(score(104, 100), abs=1e-4)
    assert score(7, 3) != pytest.approx(score(7, 5), abs=1e-2)


def test_norm_divides_in_float32():
    x = torch.randn(64, 48, generator=torch.Generator().manual_seed(0)).bfloat16()
    exact = x.double() / (x.double().square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()
    naive = x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + 1e-6)
    normed = RMSNorm(48, eps=1e-6).bfloat16()(x)
    assert normed.dtype == torch.bfloat16
    assert normed.ne(exact.bfloat16()).float().mean() < 0.002  # a rounding on the edge may fall either way
    assert naive.ne(exact.bfloat16()).float().mean() > 0.1


def text_input(ids: list[list[int]], pads: list[int]) -> ModelInput:
    valid = torch.tensor([[place >= pad for place in range(len(row))] for row, pad in zip(ids, pads, strict=True)])
    return ModelInput(torch.tensor(ids), valid, torch.zeros(0, 0, 0), torch.zeros(0, dtype=torch.int64))


@pytest.mark.parametrize("window", [{}, {"sliding_window": 3, "sliding_layers": (1,)}], ids=["full", "sliding"])
@pytest.mark.parametrize("num_kv_heads", [1, 2, 4])
@pytest.mark.parametrize("steps", [[8], [1] * 8, [5, 1, 2], [3, 5]])
def test_cached_steps_equal_the_whole_sequence(
    num_kv_heads: int, steps: list[int], window: dict[str, Any], tiny_model: Make
):
    model = tiny_model(num_kv_heads=num_kv_heads, **window)
    inputs = text_input([[1, 2, 3, 4, 5, 6, 7, 8], [0, 0, 9, 8, 7, 6, 5, 4]], pads=[0, 2])
    embeddings = model.embed(inputs)
    whole = model.decode(embeddings, inputs.positions, inputs.valid, None)
    cache = KVCache.empty(model.config.text, batch=2, capacity=8, like=embeddings)
    parts, start = [], 0
    for size in steps:
        now = slice(start, start + size)
        parts.append(model.decode(embeddings[:, now], inputs.positions[:, now], inputs.valid[:, now], cache))
        start += size
    assert cache.num_tokens == 8
    torch.testing.assert_close(torch.cat(parts, dim=1)[inputs.valid], whole[inputs.valid], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("window", [1, 2, 5])
def test_two_layers_of_a_window_hear_so_far_and_no_farther(window: int, tiny_model: Make):
    """Each layer carries what it saw `window` - 1 places on."""
    model = tiny_model(sliding_window=window, sliding_layers=(0, 1))
    ids = list(range(1, 13))
    one, other = (model(text_input([row], pads=[0]))[0] for row in (ids, [99, *ids[1:]]))
    moved = (one - other).abs().amax(dim=-1)
    reach = 2 * (window - 1) + 1
    assert (moved[:reach] > 1e-4).all()
    assert (moved[reach:] == 0).all()


def test_a_window_needs_layers_and_layers_a_window(tiny_config: Config):
    for half in ({"sliding_window": 3}, {"sliding_layers": (0,)}):
        with pytest.raises(ValueError, match="expected both or neither"):
            tiny_config(**half)
    assert tiny_config(sliding_window=3, sliding_layers=(1,)).text.windows == (None, 3)


@pytest.mark.parametrize("capacity", [1, 4, 66])
def test_a_full_cache_grows_and_forgets_nothing(capacity: int, tiny_model: Make):
    """140 tokens, the first of them padding in one row, through a cache that has room for a few."""
    model = tiny_model()
    ids = torch.randint(1, 300, (2, 140), generator=torch.Generator().manual_seed(0)).tolist()
    inputs = text_input(ids, pads=[0, 3])
    embeddings = model.embed(inputs)
    whole = model.decode(embeddings, inputs.positions, inputs.valid, None)
    cache = KVCache.empty(model.config.text, batch=2, capacity=capacity, like=embeddings)
    parts = [
        model.decode(embeddings[:, now], inputs.positions[:, now], inputs.valid[:, now], cache)
        for now in (slice(0, 5), slice(5, 6), slice(6, 67), slice(67, 139), slice(139, 140))
    ]
    torch.testing.assert_close(torch.cat(parts, dim=1)[inputs.valid], whole[inputs.valid], atol=1e-4, rtol=1e-4)
    assert 140 <= cache.keys[0].shape[2] == cache.values[-1].shape[2] == cache.valid.shape[1] < 140 + 64


def test_rows_change_places_after_what_they_share(tiny_model: Make):
    """What `reorder` moves is what `keep` would move; the shared beginning is not touched."""
    model = tiny_model()
    inputs = text_input([[1, 2, 3, 4, 5], [1, 2, 3, 6, 7], [0, 8, 9, 10, 11], [0, 8, 9, 12, 13]], pads=[0, 0, 1, 1])
    rows = torch.tensor([1, 1, 3, 2])
    caches = [KVCache.empty(model.config.text, batch=4, capacity=9, like=torch.zeros(1)) for _ in range(2)]
    for cache in caches:
        model.decode(model.embed(inputs), inputs.positions, inputs.valid, cache)
    caches[0].keep(rows)
    caches[1].reorder(rows, start=3)
    for kept, moved in zip(caches[0].keys + caches[0].values, caches[1].keys + caches[1].values, strict=True):
        torch.testing.assert_close(moved[:, :, :5], kept[:, :, :5])
    assert caches[1].valid.equal(caches[0].valid)


def test_cache_takes_dtype_and_shape(tiny_config: Config):
    text = tiny_config(num_kv_heads=2, num_layers=3, head_width=8).text
    cache = KVCache.empty(text, batch=5, capacity=7, like=torch.zeros(1, dtype=torch.bfloat16))
    assert [buffer.shape for buffer in (*cache.keys, *cache.values)] == [(5, 2, 7, 8)] * 6
    assert {buffer.dtype for buffer in (*cache.keys, *cache.values)} == {torch.bfloat16}


@pytest.mark.parametrize("kept", [[0], [2], [2, 0], [1, 1, 2]])
def test_kept_rows_go_on_as_if_alone(kept: list[int], tiny_model: Make):
    model = tiny_model()
    inputs = text_input([[1, 2, 3, 4], [0, 5, 6, 7], [0, 0, 8, 9]], pads=[0, 1, 2])
    last = torch.tensor([[11], [12], [13]])
    embed = model.language_model.model.embed_tokens
    positions, seen = inputs.positions[:, -1:] + 1, torch.ones(3, 1, dtype=torch.bool)

    def cache() -> KVCache:
        full = KVCache.empty(model.config.text, batch=3, capacity=5, like=embed.weight)
        model.decode(model.embed(inputs), inputs.positions, inputs.valid, full)
        return full

    everyone = model.decode(embed(last), positions, seen, cache())
    few = cache()
    few.keep(torch.tensor(kept))
    some = model.decode(embed(last[kept]), positions[kept], seen[kept], few)
    torch.testing.assert_close(some, everyone[kept], atol=1e-6, rtol=1e-5)
