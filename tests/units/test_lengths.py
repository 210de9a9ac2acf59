"""The length formula and the kept frames against naive walks over what each layer sees."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import auricle
from auricle import units
from auricle.errors import UserError


def visited(length: int, *, kernel: int, stride: int, padding: int) -> list[range]:
    """Where a convolution or pooling stands, step by step, as the positions of its input that each output sees."""
    starts = range(-padding, length + padding - kernel + 1, stride)
    return [range(start, start + kernel) for start in starts]


def test_rates_agree_with_each_other():
    assert units.FRAMES_PER_S == 100
    assert units.TOKENS_PER_S == 25
    assert units.WINDOW_SAMPLES == 480_000
    assert units.frames_from_samples(units.WINDOW_SAMPLES) == units.WINDOW_FRAMES == 3000
    assert units.states_from_frames(3000) == 1500
    assert units.tokens_from_frames(3000) == 750


def test_a_frame_for_every_started_hop():
    """Every length up to 30 s: sample i lies in hop i // 160, walked hop by hop."""
    expected = [hop + 1 for hop in range(3000) for _ in range(160)]
    assert [units.frames_from_samples(num_samples) for num_samples in range(1, 480_001)] == expected
    assert units.frames_from_samples(0) == 0


@given(st.integers(1, 10**9))
def test_a_frame_for_every_started_hop_of_longer_recordings(num_samples: int):
    assert units.frames_from_samples(num_samples) == len(range(0, num_samples, 160))


@pytest.mark.parametrize("first", range(3, 3001, 500))
def test_lengths_are_those_of_the_layers(first: int):
    for num_frames in range(first, min(first + 500, 3001)):
        after_conv1 = len(visited(num_frames, kernel=3, stride=1, padding=1))
        after_conv2 = len(visited(after_conv1, kernel=3, stride=2, padding=1))
        after_pooling = len(visited(after_conv2, kernel=2, stride=2, padding=0))
        assert units.states_from_frames(num_frames) == after_conv2, num_frames
        assert units.tokens_from_frames(num_frames) == after_pooling, num_frames


def test_kept_frames_are_exactly_what_the_real_states_see():
    for num_frames in range(1, 3001):
        last_state = visited(num_frames, kernel=3, stride=2, padding=1)[-1]  # positions of the first convolution
        seen = [frame for middle in last_state for frame in range(middle - 1, middle + 2)]
        assert units.kept_frames(num_frames) == min(max(seen) + 1, 3000), num_frames


def test_more_sound_never_makes_less():
    """From 3 frames to 30 s; each step adds at most one state, token or pair of kept frames, and none is skipped."""
    for formula, first, last, step in (
        (units.states_from_frames, 2, 1500, 1),
        (units.tokens_from_frames, 1, 750, 1),
        (units.kept_frames, 5, 3000, 2),
    ):
        lengths = [formula(num_frames) for num_frames in range(3, 3001)]
        assert (lengths[0], lengths[-1]) == (first, last)
        assert all(0 <= after - before <= step for before, after in pairwise(lengths))


def test_kept_frames_make_every_real_state():
    """Running the two convolutions over the kept frames gives at least the real states, at most one more."""
    for num_frames in range(3, 3001):
        computed = len(visited(units.kept_frames(num_frames), kernel=3, stride=2, padding=1))
        assert 0 <= computed - units.states_from_frames(num_frames) <= 1, num_frames


@pytest.mark.parametrize(("num_frames", "kept"), [(100, 101), (101, 103), (2998, 2999), (2999, 3000), (3000, 3000)])
def test_kept_frames_by_hand(num_frames: int, kept: int):
    assert units.kept_frames(num_frames) == kept


@pytest.mark.parametrize("num_frames", [0, 1, 2])
def test_too_few_frames_are_refused(num_frames: int):
    with pytest.raises(UserError, match=rf"too short: got {num_frames} mel frames.*at least 3.*30 ms"):
        units.tokens_from_frames(num_frames)


def test_three_frames_make_one_token():
    assert units.tokens_from_frames(3) == 1


def test_the_length_formula_stands_in_units_alone():
    source = Path(auricle.__file__).parent
    formula = re.compile(r"//\s*2\s*\)?\s*\+\s*1\b")
    holders = [path.name for path in sorted(source.rglob("*.py")) if formula.search(path.read_text())]
    assert holders == ["units.py"]
