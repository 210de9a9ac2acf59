"""Equal work on both sides: plans, equal tokens, equal audio tokens, and what is refused."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from auricle.bench.clips import of_length, read_clips, synthetic_clips
from auricle.bench.measures import Bench, best_plans, measure_encoder
from auricle.bench.settings import Settings, parse_sizes
from auricle.bench.sides import Plan, require_equal_tokens, transcribe
from auricle.errors import UserError


class Stub:
    """A side that writes each recording's length again and again, and remembers its batches."""

    def __init__(self, *, audio: float = 1.0, extra_tokens: int = 0) -> None:
        self.batches: list[list[int]] = []
        self.spoken: list[list[int]] = []
        self.audio = audio
        self.extra_tokens = extra_tokens

    def hear(self, samples: np.ndarray) -> np.ndarray:
        return samples

    def encode(self, heard: np.ndarray) -> torch.Tensor:
        return torch.full((4, 2), self.audio)

    def generate(self, clips: Sequence[np.ndarray], num_tokens: int) -> list[list[int]]:
        self.batches.append([len(clip) for clip in clips])
        return [[len(clip)] * (num_tokens + self.extra_tokens) for clip in clips]

    def decode_s(self, clips: Sequence[np.ndarray], num_tokens: int) -> float:
        return 1.0

    def text(self, ids: Sequence[int]) -> str:
        self.spoken.append(list(ids))
        return ""


def make_bench(ours: Stub, theirs: Stub) -> Bench:
    clips = [np.zeros(n, np.float32) for n in (300, 100, 200)]
    return Bench(ours, theirs, clips, rounds=1, num_tokens=2, batch_sizes=(2,), say=lambda _: None)


@given(
    st.lists(st.integers(1, 9), max_size=12),
    st.integers(1, 5),
    st.sampled_from(["given", "sorted"]),
)
def test_a_plan_has_every_recording_once(lengths: list[int], size: int, order: str) -> None:
    batches = Plan(size, order).batches(lengths)
    places = [place for batch in batches for place in batch]
    assert sorted(places) == list(range(len(lengths)))
    assert all(len(batch) == size for batch in batches[:-1])
    if order == "given":
        assert places == sorted(places)
    else:
        assert [lengths[place] for place in places] == sorted(lengths, reverse=True)


def test_ids_come_back_in_the_recordings_order_and_become_text() -> None:
    side = Stub()
    clips = [np.zeros(n, np.float32) for n in (2, 5, 3)]
    assert transcribe(side, clips, Plan(2, "sorted"), 1) == [[2], [5], [3]]
    assert side.batches == [[5, 3], [2]]
    assert side.spoken == [[5], [3], [2]]


def test_equal_tokens_are_counted_and_unequal_numbers_refused() -> None:
    assert require_equal_tokens([[1, 2], [3, 4]], [[1, 2], [3, 5]]) == 1
    with pytest.raises(ValueError, match="recording 1: 2 tokens from ours but 3 from theirs"):
        require_equal_tokens([[1, 2], [3, 4]], [[1, 2], [3, 4, 5]])


def test_the_search_refuses_a_side_that_writes_more() -> None:
    assert best_plans(make_bench(Stub(), Stub()))["ours"][0].batch_size == 2
    with pytest.raises(ValueError, match="2 tokens from ours but 3 from theirs"):
        best_plans(make_bench(Stub(), Stub(extra_tokens=1)))


def test_the_encoder_refuses_another_model() -> None:
    assert measure_encoder(make_bench(Stub(), Stub()))[0].details["difference"] == 0
    with pytest.raises(UserError, match="does not run the same model"):
        measure_encoder(make_bench(Stub(), Stub(audio=1.01)))


def test_recordings_of_a_directory_come_by_name(recordings: list[Path]) -> None:
    clips = read_clips([recordings[0].parent], 64)
    assert [len(clip) for clip in clips] == [64000, 16000, 40000]  # 2500hz, 300hz, 900hz
    assert len(read_clips(recordings, 2)) == 2


def test_recordings_that_cannot_be_used_are_refused(
    tmp_path: Path, noise: Callable[..., np.ndarray], encode_audio: Callable[..., bytes]
) -> None:
    with pytest.raises(UserError, match="no recordings in"):
        read_clips([tmp_path], 4)
    long = tmp_path / "long.wav"
    long.write_bytes(encode_audio(noise(30.1)[None], container="wav", codec="pcm_s16le", rate=16000))
    with pytest.raises(UserError, match=r"lasts 30.1 s, expected at most 30"):
        read_clips([long], 4)


def test_synthetic_recordings_are_seeded_finite_and_short() -> None:
    clips, again = synthetic_clips(8), synthetic_clips(8)
    assert all(np.array_equal(a, b) for a, b in zip(clips, again, strict=True))
    assert not np.array_equal(clips[0][:16000], synthetic_clips(8, seed=1)[0][:16000])
    for clip in clips:
        assert clip.dtype == np.float32
        assert 16000 <= len(clip) <= 64000
        assert 0.01 < np.abs(clip).max() <= 1
    joined = of_length(clips[:1], 9.0)
    assert len(joined) == 9 * 16000
    assert np.array_equal(joined[: len(clips[0])], joined[len(clips[0]) : 2 * len(clips[0])])


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"rounds": 0}, "rounds must be at least 1"),
        ({"num_tokens": 0}, "num_tokens must be at least 1"),
        ({"num_clips": 0}, "num_clips must be at least 1"),
        ({"batch_sizes": (4, 0)}, "batch_sizes must name"),
        ({"only": ("speed",)}, "unknown measurement 'speed'"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Settings(**wrong)


def test_sizes_are_read_from_text() -> None:
    assert parse_sizes("4,8") == (4, 8)
    with pytest.raises(UserError, match="expected whole numbers"):
        parse_sizes("4;8")
