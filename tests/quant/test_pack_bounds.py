"""Packed weights: how far they may be from the originals, how small they are, and what cannot be packed."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from auricle.quant import Packed, pack_groups, pack_rows, round_to_groups, unpack_groups, unpack_rows
from auricle.quant.pack import GROUP_COLUMNS

pack_int4, unpack_int4 = partial(pack_groups, bits=4), partial(unpack_groups, bits=4)
shapes = st.tuples(st.integers(1, 5), st.sampled_from([64, 128, 192]))


def weights(shape: tuple[int, int], seed: int, scale: float, tail: float) -> torch.Tensor:
    """Normal numbers raised to a power: 1 is normal, 3 heavy-tailed."""
    normal = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return scale * normal.sign() * normal.abs() ** tail


some_weights = st.builds(
    weights, shapes, st.integers(0, 10_000), st.sampled_from([0.02, 1.0, 30.0]), st.sampled_from([1.0, 3.0])
)


@given(some_weights)
def test_int8_is_within_half_a_step(weight: torch.Tensor):
    packed = pack_rows(weight)
    error = (unpack_rows(packed, torch.float32) - weight).abs()
    assert (error <= packed.scale.float() * 0.5 * 1.001).all()
    largest = weight.abs().amax(dim=1, keepdim=True)
    torch.testing.assert_close(packed.scale.float(), largest / 127, rtol=1e-3, atol=1e-7)


def int4_bound(weight: torch.Tensor, packed: Packed) -> torch.Tensor:
    """Half a step, and what float16 rounds off a group's ends."""
    step = packed.scale.float().repeat_interleave(GROUP_COLUMNS, dim=1)
    return 0.501 * step + weight.abs().amax(dim=1, keepdim=True) * 2**-9


@given(weight=some_weights)
def test_int4_is_within_half_a_step_outliers_included(weight: torch.Tensor):
    packed = pack_int4(weight)
    assert ((unpack_int4(packed, torch.float32) - weight).abs() <= int4_bound(weight, packed)).all()


@given(weight=some_weights)
def test_int4_keeps_the_ends_of_every_group(weight: torch.Tensor):
    groups, restored = (
        x.unflatten(1, (-1, GROUP_COLUMNS)) for x in (weight, unpack_int4(pack_int4(weight), torch.float32))
    )
    slack = groups.abs().amax(dim=-1) * 2**-9
    assert ((restored.amax(dim=-1) - groups.amax(dim=-1)).abs() <= slack).all()
    assert ((restored.amin(dim=-1) - groups.amin(dim=-1)).abs() <= slack).all()


def int4_by_row(weight: torch.Tensor) -> torch.Tensor:
    """Sixteen steps from each row's least to its largest value: what groups are there to beat."""
    low, high = weight.amin(dim=1, keepdim=True), weight.amax(dim=1, keepdim=True)
    step = (high - low) / 15
    return ((weight - low) / step).round() * step + low


def squared_error(restored: torch.Tensor, weight: torch.Tensor) -> float:
    return (restored.double() - weight.double()).square().sum().item()


@pytest.mark.parametrize(("tail", "better"), [(1.0, 0.6), (2.0, 0.3), (3.0, 0.2)])
def test_groups_beat_rows_the_more_the_heavier_the_tail(tail: float, better: float):
    weight = weights((64, 512), seed=1, scale=0.05, tail=tail)
    packed = unpack_int4(pack_int4(weight), torch.float32)
    assert squared_error(packed, weight) < better * squared_error(int4_by_row(weight), weight)


def test_groups_do_not_disturb_each_other():
    weight = weights((3, 192), seed=2, scale=1.0, tail=1.0)
    alone = unpack_int4(pack_int4(weight[:, 64:128].contiguous()), torch.float32)
    louder = weight.clone()
    louder[:, :64] *= 1000
    assert unpack_int4(pack_int4(louder), torch.float32)[:, 64:128].equal(alone)


def num_bytes(packed: Packed) -> int:
    return packed.codes.nbytes + packed.scale.nbytes + packed.offset.nbytes


def test_bytes_per_parameter():
    weight = weights((100, 640), seed=0, scale=1.0, tail=1.0)
    assert num_bytes(pack_rows(weight)) / weight.numel() == 1 + 2 / 640
    for bits in (4, 5, 6):
        assert num_bytes(pack_groups(weight, bits=bits)) / weight.numel() == bits / 8 + 4 / GROUP_COLUMNS


def test_layout_is_as_documented():
    """Sixteen values on the grid: even column in the low half of a byte; value = code * scale + offset."""
    codes = torch.arange(64).remainder(16)
    weight = (codes * 0.25 - 2.0)[None]
    packed = pack_int4(weight)
    assert packed.codes.dtype == torch.uint8
    assert packed.codes[0, :8].tolist() == [0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0xDC, 0xFE]
    assert packed.scale.shape == packed.offset.shape == (1, 64 // GROUP_COLUMNS)
    assert packed.scale.eq(0.25).all()
    assert packed.offset.eq(-2.0).all()
    assert unpack_int4(packed, torch.float32).equal(weight)


def test_int8_layout_is_as_documented():
    packed = pack_rows(torch.tensor([[127.0, -127.0, 1.0], [0.5, -0.25, 0.0]]))
    assert packed.codes.tolist()[0] == [127, -127, 1]
    assert packed.codes.dtype == torch.int8
    assert packed.scale.shape == (2, 1)
    assert packed.offset.numel() == 0


@pytest.mark.parametrize("value", [0.0, 0.5, -3.0])
def test_constant_rows_survive(value: float):
    weight = torch.full((2, 64), value)
    assert unpack_int4(pack_int4(weight), torch.float32).sub(weight).abs().max() < 1e-3
    assert unpack_rows(pack_rows(weight), torch.float32).sub(weight).abs().max() < 2e-3


@pytest.mark.parametrize("columns", [1, GROUP_COLUMNS - 1, GROUP_COLUMNS + 1, 100])
def test_int4_wants_whole_groups(columns: int):
    with pytest.raises(ValueError, match=rf"a multiple of {GROUP_COLUMNS} columns, got {columns}"):
        pack_int4(torch.zeros(2, columns))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_unpacked_dtype(dtype: torch.dtype):
    weight = weights((2, 64), seed=0, scale=1.0, tail=1.0).bfloat16()
    assert unpack_int4(pack_int4(weight), dtype).dtype == dtype
    assert unpack_rows(pack_rows(weight), dtype).dtype == dtype


@given(weight=some_weights, bits=st.integers(2, 8))
def test_training_through_it_sees_exactly_what_is_unpacked(weight: torch.Tensor, bits: int):
    packed = pack_groups(weight, bits=bits)
    assert unpack_groups(packed, torch.float32, bits=bits).equal(round_to_groups(weight, bits=bits))


def naive_bytes(codes: list[int], bits: int) -> list[int]:
    """One long binary number, least significant first, cut into bytes."""
    number = sum(code << (place * bits) for place, code in enumerate(codes))
    return list(number.to_bytes(len(codes) * bits // 8, "little"))


@pytest.mark.parametrize("bits", [3, 4, 5, 6, 7])
def test_bit_stream_is_one_long_number(bits: int):
    codes = torch.randint(2**bits, (1, 64), generator=torch.Generator().manual_seed(bits))
    codes[0, :2] = torch.tensor([0, 2**bits - 1])  # the group's range, so that scale is 1 and codes are the values
    assert pack_groups(codes.float(), bits=bits).codes[0].tolist() == naive_bytes(codes[0].tolist(), bits)


def test_another_bit_halves_the_error():
    weight = weights((64, 512), seed=3, scale=0.05, tail=1.0)
    errors = [squared_error(round_to_groups(weight, bits=bits), weight) for bits in (4, 5, 6)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.2)
