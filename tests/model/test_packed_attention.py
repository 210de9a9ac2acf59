"""Attention over segments, against one dense attention with a block-diagonal mask."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from auricle.model import packed_attention as module
from auricle.model.layers import Attend, dense_attention
from auricle.model.packed_attention import packed_attention, segment_attention, varlen_attention

CPU = torch.device("cpu")
TOLERANCE = 1e-5


def block_diagonal(lengths: Sequence[int], *, causal: bool, window: int | None) -> Attend:
    """The oracle: all of T at once, what lies outside a segment, ahead, or too far back masked."""
    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    key = torch.arange(sum(lengths))
    seen = owner == owner[:, None]
    if causal:
        seen &= key <= key[:, None]
    if window is not None:
        seen &= key > key[:, None] - window
    return dense_attention(seen)


def qkv(num_tokens: int, heads: int, kv_heads: int, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(num_tokens)
    shapes = [(1, num, num_tokens, 8) for num in (heads, kv_heads, kv_heads)]
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]


def worst(ours: Attend, oracle: Attend, inputs: list[torch.Tensor]) -> float:
    """Of the outcome and the three gradients, relative to the largest value (of the inputs, where all is zero)."""
    results = []
    for attend in (ours, oracle):
        out = attend(*inputs)
        upstream = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out.dtype)
        results.append([out, *torch.autograd.grad(out, inputs, upstream)])
    return max(
        float((a - b).detach().abs().max() / b.detach().abs().max().clamp(min=1)) for a, b in zip(*results, strict=True)
    )


SETTINGS = [(False, None), (True, None), (True, 3), (True, 1)]


@pytest.mark.parametrize("written_out", [512, 8, 0], ids=["written out", "both", "fused"])
@pytest.mark.parametrize(("causal", "window"), SETTINGS, ids=str)
def test_segments_equal_a_block_diagonal_mask(
    monkeypatch: pytest.MonkeyPatch, written_out: int, causal: bool, window: int | None
) -> None:
    monkeypatch.setattr(module, "_WRITTEN_OUT_TOKENS", written_out)

    @given(
        lengths=st.lists(st.integers(1, 20), min_size=1, max_size=4),
        heads=st.sampled_from([(4, 4), (4, 2), (6, 1)]),
    )
    def check(lengths: list[int], heads: tuple[int, int]) -> None:
        ours = packed_attention(lengths, causal=causal, window=window, device=CPU)
        oracle = block_diagonal(lengths, causal=causal, window=window)
        assert worst(ours, oracle, qkv(sum(lengths), *heads)) <= TOLERANCE

    check()


@pytest.mark.parametrize(("causal", "window"), SETTINGS[:3], ids=str)
def test_a_long_segment_beside_short_ones(causal: bool, window: int | None) -> None:
    lengths = [5, module._WRITTEN_OUT_TOKENS + 1, module._WRITTEN_OUT_TOKENS]
    ours = segment_attention(lengths, causal=causal, window=window, device=CPU)
    inputs = qkv(sum(lengths), 2, 1)
    assert worst(ours, block_diagonal(lengths, causal=causal, window=window), inputs) <= TOLERANCE


def test_bfloat16_stays_bfloat16() -> None:
    inputs = qkv(12, 4, 2, torch.bfloat16)
    ours = packed_attention([5, 7], causal=True, window=None, device=CPU)
    assert ours(*inputs).dtype == torch.bfloat16
    assert worst(ours, block_diagonal([5, 7], causal=True, window=None), inputs) <= 0.05


def test_no_segment_at_all_keeps_the_graph() -> None:
    inputs = qkv(0, 4, 2)
    out = packed_attention([], causal=True, window=None, device=CPU)(*inputs)
    assert out.shape == (1, 4, 0, 8)
    assert all(grad.numel() == 0 for grad in torch.autograd.grad(out.sum(), inputs))


def flash(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seq_q: torch.Tensor,
    cu_seq_k: torch.Tensor,
    max_q: int,
    max_k: int,
    *,
    window_size: tuple[int, int] = (-1, -1),
) -> torch.Tensor:
    """A stand-in for torch's kernel, as it is documented: [T, heads, width]; a window counts places before and after
    the token, the token itself apart; -1 is no bound."""
    assert torch.equal(cu_seq_q, cu_seq_k)
    assert cu_seq_q.dtype == torch.int32
    assert query.shape == key.shape == value.shape
    lengths = cu_seq_q.diff().tolist()
    assert max_q == max_k == max(lengths)
    before, after = window_size
    outs = []
    for q, k, v in zip(*(x.split(lengths) for x in (query, key, value)), strict=True):
        distance = torch.arange(len(q)) - torch.arange(len(q))[:, None]
        seen = torch.ones_like(distance, dtype=torch.bool)
        if before >= 0:
            seen &= distance >= -before
        if after >= 0:
            seen &= distance <= after
        outs.append(dense_attention(seen)(*(x.transpose(0, 1)[None] for x in (q, k, v)))[0].transpose(0, 1))
    return torch.cat(outs)


@pytest.mark.parametrize(("causal", "window"), SETTINGS, ids=str)
@pytest.mark.parametrize("heads", [(4, 4), (4, 2), (6, 1)], ids=str)
def test_the_kernels_arguments_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch, causal: bool, window: int | None, heads: tuple[int, int]
) -> None:
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", flash)
    lengths = [3, 1, 9, 4]
    ours = varlen_attention(lengths, causal=causal, window=window, device=CPU)
    oracle = block_diagonal(lengths, causal=causal, window=window)
    assert worst(ours, oracle, qkv(sum(lengths), *heads)) <= TOLERANCE


@pytest.mark.parametrize(
    ("capability", "dtype", "width", "expected"),
    [
        ((8, 0), torch.bfloat16, 64, "kernel"),
        ((9, 0), torch.float16, 128, "kernel"),
        ((9, 0), torch.float32, 64, "segments"),
        ((9, 0), torch.bfloat16, 12, "segments"),
        ((7, 5), torch.float16, 64, "segments"),
    ],
)
def test_which_way_a_gpu_goes(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: torch.dtype, width: int, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(module, "segment_attention", lambda *_, **__: lambda *_: "segments")
    monkeypatch.setattr(module, "varlen_attention", lambda *_, **__: lambda *_: "kernel")
    attend = packed_attention([3], causal=True, window=None, device=torch.device("cuda"))
    x = torch.zeros(1, 2, 3, width, dtype=dtype)
    assert attend(x, x, x) == expected
