"""Ragged prompts and mels in one batch: padded on the left, nothing mixed up, mismatches refused."""

from collections.abc import Iterator
from itertools import count

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from auricle import units
from auricle.audio import Mel
from auricle.prepare import Prepared, Prompt, collate

PAD = 99


def mel(num_frames: int, value: float = 1.0) -> Mel:
    return Mel(torch.full((4, units.kept_frames(num_frames)), value), num_frames)


def prepared(num_text: int, *mels: Mel, first_id: int = 1) -> Prepared:
    """`num_text` ids counting up, then a span for each mel."""
    ids, spans = list(range(first_id, first_id + num_text)), []
    for one in mels:
        num_tokens = units.tokens_from_frames(one.num_frames)
        spans.append((len(ids), len(ids) + num_tokens))
        ids += [77] * num_tokens
    return Prepared(Prompt(tuple(ids), (False,) * len(ids), tuple(spans)), mels)


@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5))
def test_shorter_prompts_are_padded_on_the_left(lengths: list[int]):
    batch = collate([prepared(length) for length in lengths], pad_id=PAD)
    longest = max(lengths)
    assert batch.ids.dtype == torch.int64
    assert batch.ids.shape == batch.valid.shape == (len(lengths), longest)
    for row, length in enumerate(lengths):
        assert batch.ids[row].tolist() == [PAD] * (longest - length) + list(range(1, length + 1))
        assert batch.valid[row].tolist() == [False] * (longest - length) + [True] * length
        assert batch.positions[row, longest - length :].tolist() == list(range(length))
        assert (batch.positions[row] >= 0).all()


def random_prompt(parts: list[int | str], values: Iterator[float]) -> Prepared:
    """An int is so many text ids, a string of digits a recording of so many frames (with a value of its own)."""
    ids, loss, spans, mels = [], [], [], []
    for part in parts:
        if isinstance(part, int):
            ids += range(100, 100 + part)
        else:
            mels.append(mel(int(part), next(values)))
            spans.append((len(ids), len(ids) + units.tokens_from_frames(int(part))))
            ids += [77] * (spans[-1][1] - spans[-1][0])
        loss += [isinstance(part, int)] * (len(ids) - len(loss))
    return Prepared(Prompt(tuple(ids), tuple(loss), tuple(spans)), tuple(mels))


parts = st.lists(st.integers(1, 5) | st.integers(3, 60).map(str), min_size=1, max_size=6)


@given(rows=st.lists(parts, min_size=1, max_size=5), pad_id=st.sampled_from([PAD, 77, 100]))
def test_any_ragged_batch_can_be_taken_apart_again(rows: list[list[int | str]], pad_id: int):
    """Ids, positions, spans and recordings of every prompt, in order, also with a pad id that prompts hold."""
    values = (float(number) for number in count(1))
    batch = [random_prompt(row, values) for row in rows]
    inputs = collate(batch, pad_id=pad_id)
    windows = iter(zip(inputs.features, inputs.num_frames.tolist(), strict=True))
    for item, ids, valid, positions in zip(batch, inputs.ids, inputs.valid, inputs.positions, strict=True):
        num_pads = len(ids) - len(item.prompt.ids)
        assert valid.tolist() == [False] * num_pads + [True] * len(item.prompt.ids)
        assert tuple(ids[valid].tolist()) == item.prompt.ids
        assert ids[~valid].eq(pad_id).all()
        assert positions[valid].tolist() == list(range(len(item.prompt.ids)))
        assert positions[~valid].eq(0).all()
        for start, end in item.prompt.audio_spans:
            assert ids[num_pads + start : num_pads + end].eq(77).all()
        for one in item.mels:
            window, num_frames = next(windows)
            assert num_frames == one.num_frames
            assert window[:, : one.features.shape[1]].equal(one.features)
            assert window[:, one.features.shape[1] :].eq(0).all()
    assert next(windows, None) is None
    assert (~inputs.valid).all(dim=0).sum() == 0  # no column of padding alone


def test_a_pad_id_inside_a_prompt_is_valid():
    batch = collate([prepared(1, first_id=PAD), prepared(3)], pad_id=PAD)
    assert batch.valid.tolist() == [[False, False, True], [True, True, True]]


def test_mels_of_all_prompts_in_order_zeros_after_each():
    batch = collate([prepared(2, mel(5, 1.0), mel(20, 2.0)), prepared(1), prepared(3, mel(9, 3.0))], pad_id=PAD)
    assert batch.num_frames.tolist() == [5, 20, 9]
    assert batch.features.shape == (3, 4, units.kept_frames(20))
    for row, (num_frames, value) in enumerate([(5, 1.0), (20, 2.0), (9, 3.0)]):
        kept = units.kept_frames(num_frames)
        assert batch.features[row, :, :kept].eq(value).all()
        assert batch.features[row, :, kept:].eq(0).all()


def test_text_alone_has_no_windows():
    batch = collate([prepared(2), prepared(4)], pad_id=PAD)
    assert len(batch.features) == len(batch.num_frames) == 0


def test_windows_of_one_long_recording_share_a_span():
    mels = (mel(100), mel(60))
    num_tokens = units.tokens_from_frames(100) + units.tokens_from_frames(60)
    prompt = Prompt((77,) * num_tokens, (False,) * num_tokens, ((0, num_tokens),))
    assert collate([Prepared(prompt, mels)], pad_id=PAD).num_frames.tolist() == [100, 60]


@pytest.mark.parametrize("extra", [-1, 1])
def test_places_and_audio_tokens_must_agree(extra: int):
    places = units.tokens_from_frames(40) + extra
    prompt = Prompt((77,) * places, (False,) * places, ((0, places),))
    with pytest.raises(
        ValueError, match=rf"the prompt has {places} audio places, its recordings make {places - extra}"
    ):
        Prepared(prompt, (mel(40),))


def test_places_without_a_recording_are_refused():
    with pytest.raises(ValueError, match="2 audio places, its recordings make 0"):
        Prepared(Prompt((77, 77), (False, False), ((0, 2),)))


def test_moving_keeps_everything():
    batch = collate([prepared(2, mel(8))], pad_id=PAD)
    moved = batch.to(torch.device("meta"))
    for name in ("ids", "valid", "features", "num_frames"):
        assert getattr(moved, name).device.type == "meta"
        assert getattr(moved, name).shape == getattr(batch, name).shape
