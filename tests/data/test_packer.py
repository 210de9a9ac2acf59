"""Packs: nothing lost, nothing split, nearly full, and the state is the open ones."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.data.packer import MAX_OPEN, Packer, Piece

ROOM = 50


def pieces(lengths: list[int]) -> list[Piece]:
    return [Piece(number, number % 3, 7 * number, tokens) for number, tokens in enumerate(lengths)]


def packed(packer: Packer, given_: list[Piece]) -> list[tuple[Piece, ...] | None]:
    return [packer.add(piece) for piece in given_]


def naive(given_: list[Piece], pack_tokens: int, max_open: int) -> list[tuple[Piece, ...] | None]:
    """Every pack's room counted anew, the packs sorted by it."""

    def room(pack: list[Piece]) -> int:
        return pack_tokens - sum(piece.tokens for piece in pack)

    open_, finished = [], []
    for piece in given_:
        if piece.tokens >= pack_tokens:
            finished.append((piece,))
            continue
        fitting = sorted((pack for pack in open_ if room(pack) >= piece.tokens), key=room)
        if fitting:
            fitting[0].append(piece)
        else:
            open_.append([piece])
        leaving = [pack for pack in open_ if room(pack) == 0] or ([open_[0]] if len(open_) > max_open else [])
        open_ = [pack for pack in open_ if pack not in leaving]
        finished.append(tuple(leaving[0]) if leaving else None)
    return finished


some_lengths = st.lists(st.integers(1, ROOM + 10) | st.integers(1, 12), max_size=80)


@given(lengths=some_lengths, max_open=st.integers(1, 5))
def test_packs_are_those_of_plain_lists(lengths: list[int], max_open: int):
    assert packed(Packer(ROOM, max_open), pieces(lengths)) == naive(pieces(lengths), ROOM, max_open)


@given(lengths=some_lengths, max_open=st.integers(1, 5), cut=st.integers(0, 80))
def test_a_loaded_state_goes_on_as_if_nothing_had_happened(lengths: list[int], max_open: int, cut: int):
    whole, given_ = Packer(ROOM, max_open), pieces(lengths)
    packed(whole, given_[:cut])
    state = json.loads(json.dumps(whole.state()))
    continued = Packer(ROOM, max_open)
    continued.load(state)
    assert packed(continued, given_[cut:]) == packed(whole, given_[cut:])
    assert continued.state() == whole.state()
    assert continued.rest() == whole.rest()


@given(lengths=some_lengths, max_open=st.integers(1, 5))
def test_every_piece_lies_whole_in_one_pack_with_room_for_it(lengths: list[int], max_open: int):
    packer, given_ = Packer(ROOM, max_open), pieces(lengths)
    finished = [pack for pack in packed(packer, given_) if pack is not None]
    assert len(packer.state()["open"]) <= max_open, "nothing waits in more packs than that"
    packs = finished + packer.rest()
    assert sorted(piece for pack in packs for piece in pack) == given_
    for pack in packs:
        assert sum(piece.tokens for piece in pack) <= ROOM or len(pack) == 1
    assert packer.rest() == []
    assert packer.add(Piece(0, 0, 0, 1)) is None, "it can be used again"


def test_a_piece_that_fills_a_pack_is_one_and_a_longer_one_is_not_cut():
    packer = Packer(ROOM)
    small, full, longer = Piece(0, 0, 0, 1), Piece(1, 0, 0, ROOM), Piece(2, 0, 0, 3 * ROOM)
    assert packed(packer, [small, full, longer]) == [None, (full,), (longer,)]
    assert packer.add(Piece(3, 0, 0, ROOM - 1)) == (small, Piece(3, 0, 0, ROOM - 1))


def log_normal(median: float, sigma: float) -> list[int]:
    rng = np.random.default_rng(0)
    return [int(tokens) for tokens in rng.lognormal(np.log(median), sigma, 8000) if tokens < 4096]


@pytest.mark.parametrize(("median", "sigma"), [(120, 0.6), (250, 0.7), (400, 0.8), (900, 0.7)])
def test_packs_of_recordings_of_usual_lengths_are_at_least_95_percent_full(median: float, sigma: float):
    """Lengths of utterances and of dialogues are close to log-normal; packs of 4096 tokens."""
    lengths = log_normal(median, sigma)
    packer = Packer(4096)
    finished = [pack for pack in packed(packer, pieces(lengths)) if pack is not None]
    tokens = [sum(piece.tokens for piece in pack) for pack in finished]
    assert len(tokens) > 200
    assert sum(tokens) / (4096 * len(tokens)) >= 0.95
    in_turn = Packer(4096, max_open=1)
    one_by_one = [sum(piece.tokens for piece in pack) for pack in packed(in_turn, pieces(lengths)) if pack is not None]
    assert np.mean(one_by_one) < np.mean(tokens), "with one open pack there is less to choose from"
    assert MAX_OPEN > 1
