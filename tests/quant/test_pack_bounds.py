"""Packed weights: how far they may be from the originals, how small they are, and what cannot be packed."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from auricle.quant import Packed, pack_groups, pack_rows, round_to_groups, unpack_groups, unpack_rows
from auricle.quant.pack import GROUP_COLUMNS

shapes = st.tuples(st.integers(1, 5), st.integers(1, 3).map(lambda groups: groups * GROUP_COLUMNS))
some_bits = st.sampled_from([4, 5])


def weights(shape: tuple[int, int], seed: int, scale: float, tail: float) -> torch.Tensor:
    """Normal numbers raised to a power: 1 is normal, 3 heavy-tailed."""
    normal = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return scale * normal.sign() * normal.abs() ** tail


some_weights = st.builds(
    weights, shapes, st.integers(0, 10_000), st.sampled_from([0.02, 1.0, 30.0]), st.sampled_from([1.0, 3.0])
)


@given(weight=some_weights)
def test_rows_are_within_half_a_step(weight: torch.Tensor):
    packed = pack_rows(weight)
    error = (unpack_rows(packed, torch.float32) - weight).abs()
    assert (error <= packed.scale.float() * 0.5 * 1.001).all()
    largest = weight.abs().amax(dim=1, keepdim=True)
    torch.testing.assert_close(packed.scale.float(), largest / 127, rtol=1e-3, atol=1e-7)


@given(weight=some_weights, bits=some_bits)
def test_groups_are_within_half_a_step_outliers_included(weight: torch.Tensor, bits: int):
    packed = pack_groups(weight, bits=bits)
    step = packed.scale.float().repeat_interleave(GROUP_COLUMNS, dim=1)
    rounding = weight.abs().amax(dim=1, keepdim=True) * 2**-9  # of a group's ends to float16
    assert ((unpack_groups(packed, torch.float32, bits=bits) - weight).abs() <= 0.501 * step + rounding).all()
    spread = weight.unflatten(1, (-1, GROUP_COLUMNS))
    spread = spread.amax(dim=-1) - spread.amin(dim=-1)
    torch.testing.assert_close(packed.scale.float(), spread / (2**bits - 1), rtol=1e-3, atol=1e-7)


@given(weight=some_weights, bits=some_bits)
def test_groups_keep_both_ends(weight: torch.Tensor, bits: int):
    restored = unpack_groups(pack_groups(weight, bits=bits), torch.float32, bits=bits)
    groups, again = (x.unflatten(1, (-1, GROUP_COLUMNS)) for x in (weight, restored))
    slack = groups.abs().amax(dim=-1) * 2**-9
    assert ((again.amax(dim=-1) - groups.amax(dim=-1)).abs() <= slack).all()
    assert ((again.amin(dim=-1) - groups.amin(dim=-1)).abs() <= slack).all()


@given(weight=some_weights, bits=some_bits)
def test_rounding_alone_gives_what_packing_gives(weight: torch.Tensor, bits: int):
    before = weight.clone()
    restored = unpack_groups(pack_groups(weight, bits=bits), torch.float32, bits=bits)
    assert round_to_groups(weight, bits=bits).equal(restored)
    assert weight.equal(before)


def by_row(weight: torch.Tensor, bits: int) -> torch.Tensor:
    """Steps from each row's least to its largest value: what groups are there to beat."""
    low, high = weight.amin(dim=1, keepdim=True), weight.amax(dim=1, keepdim=True)
    step = (high - low) / (2**bits - 1)
    return ((weight - low) / step).round() * step + low


def squared_error(restored: torch.Tensor, weight: torch.Tensor) -> float:
    return (restored.double() - weight.double()).square().sum().item()


@pytest.mark.parametrize("bits", [4, 5])
@pytest.mark.parametrize(("tail", "better"), [(1.0, 0.7), (2.0, 0.4), (3.0, 0.3)])
def test_groups_beat_rows_the_more_the_heavier_the_tail(tail: float, better: float, bits: int):
    weight = weights((64, 512), seed=1, scale=0.05, tail=tail)
    error = squared_error(round_to_groups(weight, bits=bits), weight)
    assert error < better * squared_error(by_row(weight, bits), weight)


def test_a_bit_more_halves_the_error():
    weight = weights((64, 512), seed=1, scale=0.05, tail=1.0)
    four, five = (squared_error(round_to_groups(weight, bits=bits), weight) ** 0.5 for bits in (4, 5))
    assert five == pytest.approx(four / 2, rel=0.1)


def test_groups_do_not_disturb_each_other():
    weight = weights((3, 3 * GROUP_COLUMNS), seed=2, scale=1.0, tail=1.0)
    middle = slice(GROUP_COLUMNS, 2 * GROUP_COLUMNS)
    alone = round_to_groups(weight[:, middle].contiguous(), bits=4)
    louder = weight.clone()
    louder[:, :GROUP_COLUMNS] *= 1000
    assert round_to_groups(louder, bits=4)[:, middle].equal(alone)


def num_bytes(packed: Packed) -> int:
    return packed.codes.nbytes + packed.scale.nbytes + packed.offset.nbytes


def test_bytes_per_parameter():
    weight = weights((100, 640), seed=0, scale=1.0, tail=1.0)
    assert num_bytes(pack_rows(weight)) / weight.numel() == 1 + 2 / 640
    for bits in (4, 5):
        assert num_bytes(pack_groups(weight, bits=bits)) / weight.numel() == bits / 8 + 4 / GROUP_COLUMNS


@pytest.mark.parametrize("bits", range(1, 9))
def test_layout_of_groups_is_as_documented(bits: int):
    """Values on the grid: value = code * scale + offset, codes as one stream of bits, the first in the lowest."""
    codes = torch.randint(0, 2**bits, (2, 2 * GROUP_COLUMNS), generator=torch.Generator().manual_seed(bits))
    codes[:, ::GROUP_COLUMNS], codes[:, 1::GROUP_COLUMNS] = 0, 2**bits - 1
    packed = pack_groups(codes * 0.25 - 2.0, bits=bits)
    for row, written in zip(codes.tolist(), packed.codes.tolist(), strict=True):
        stream = sum(code << (bits * place) for place, code in enumerate(row))
        assert bytes(written) == stream.to_bytes(len(row) * bits // 8, "little")
    assert packed.scale.shape == packed.offset.shape == (2, 2)
    assert packed.scale.eq(0.25).all()
    assert packed.offset.eq(-2.0).all()
    assert unpack_groups(packed, torch.float32, bits=bits).equal(codes * 0.25 - 2.0)


def test_layout_of_rows_is_as_documented():
    packed = pack_rows(torch.tensor([[127.0, -127.0, 1.0], [0.5, -0.25, 0.0]]))
    assert packed.codes.tolist()[0] == [127, -127, 1]
    assert packed.codes.dtype == torch.int8
    assert packed.scale.shape == (2, 1)
    assert packed.offset.numel() == 0


@pytest.mark.parametrize("value", [0.0, 0.5, -3.0])
def test_constant_rows_survive(value: float):
    weight = torch.full((2, GROUP_COLUMNS), value)
    assert round_to_groups(weight, bits=4).sub(weight).abs().max() < 1e-3
    assert unpack_rows(pack_rows(weight), torch.float32).sub(weight).abs().max() < 2e-3


@pytest.mark.parametrize("columns", [1, GROUP_COLUMNS - 1, GROUP_COLUMNS + 1, GROUP_COLUMNS + GROUP_COLUMNS // 2])
def test_groups_must_be_whole(columns: int):
    for pack in (pack_groups, round_to_groups):
        with pytest.raises(ValueError, match=rf"a multiple of {GROUP_COLUMNS} columns, got {columns}"):
            pack(torch.zeros(2, columns), bits=4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_unpacked_dtype(dtype: torch.dtype):
    weight = weights((2, GROUP_COLUMNS), seed=0, scale=1.0, tail=1.0).bfloat16()
    assert unpack_groups(pack_groups(weight, bits=5), dtype, bits=5).dtype == dtype
    assert unpack_rows(pack_rows(weight), dtype).dtype == dtype
