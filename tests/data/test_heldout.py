"""Held-out packs: the same every time, heard truly, with another's recordings, or in silence."""

from pathlib import Path

import fake_stage
import numpy as np
import pytest
import torch
from fake_stage import record, seen
from hypothesis import given
from hypothesis import strategies as st

from auricle.audio import Waveform
from auricle.conversation import Audio, RawPrompt
from auricle.data import Example, Group, Recording
from auricle.data.hear import Hearing
from auricle.data.heldout import Silenced, hear_groups, heldout_groups, silenced, with_other_audio
from auricle.errors import UserError
from auricle.text import Tokenizer


def packs_of(records: list, num: int, seed: int = 0, pack_tokens: int = 100) -> list:
    groups = heldout_groups(records, fake_stage.make, num, seed)
    return hear_groups(groups, fake_stage.measure, fake_stage.hear, pack_tokens, seed)


@given(sizes=st.lists(st.integers(1, 130), max_size=40), num=st.integers(0, 50), seed=st.integers(0, 9))
def test_held_out_packs_hold_each_record_once_and_are_the_same_every_time(sizes: list[int], num: int, seed: int):
    records = [record(f"h:{i}", size) for i, size in enumerate(sizes)]
    packs = packs_of(records, num, seed)
    names = [label.where for pack in packs for label in pack.labels]
    assert len(set(names)) == len(names) == min(num, len(records))
    assert set(names) <= {one.where for one in records}
    assert [seen(pack) for pack in packs] == [seen(pack) for pack in packs_of(records, num, seed)]
    assert all(sum(pack.inputs.lengths) <= 100 or len(pack.labels) == 1 for pack in packs)


def test_which_are_held_out_and_asked_how_depends_on_the_seed():
    records = [record(f"h:{i}", 9) for i in range(50)]
    one, other = (heldout_groups(records, fake_stage.make, 10, seed) for seed in (0, 1))
    assert [group[0].where for group in one] != [group[0].where for group in other]
    assert len({group[0].prompt for group in one + other}) == 20


def test_what_cannot_be_heard_is_left_out_and_what_cannot_be_made_ends_it():
    unheard = record("h:1", 9, trouble="cannot be heard")
    [pack] = packs_of([record("h:0", 9), unheard], 2)
    assert [label.where for label in pack.labels] == ["h:0"]
    assert pack.refused == (("h:1", "h:1: nothing is heard"),)
    with pytest.raises(UserError, match=r"^h:1: no prompt for it$"):
        packs_of([record("h:1", 9, trouble="cannot be made")], 1)


def group_of(where: str, *heard: str, task: str = "asr", num_examples: int = 1) -> Group:
    recordings = tuple(Recording(Path(name)) for name in heard)
    example = Example(RawPrompt((Audio(),) * len(heard)), "said", recordings, where, "data", task)
    return (example,) * num_examples


def heard_in(groups: list[Group]) -> list[tuple[Recording, ...]]:
    return [example.recordings for group in groups for example in group]


kinds = st.tuples(st.lists(st.sampled_from("abcdef"), max_size=2), st.sampled_from(["asr", "sound"]), st.integers(1, 2))


@given(drawn=st.lists(kinds, min_size=1, max_size=12), seed=st.integers(0, 9))
def test_every_group_hears_another(drawn: list, seed: int):
    """And says the same, in the same order, to as many recordings as before."""
    groups = [group_of("h", *heard, task=task, num_examples=num) for heard, task, num in drawn]
    groups += [group_of("h", "x"), group_of("h", "y")]
    others = with_other_audio(groups, np.random.default_rng(seed))
    assert [heard_in(silenced([group])) for group in others] != []
    for group, other in zip(groups, others, strict=True):
        assert len(group) == len(other)
        for example, changed in zip(group, other, strict=True):
            assert len(changed.recordings) == len(example.recordings)
            assert changed.recordings != example.recordings or not example.recordings
            assert (changed.prompt, changed.answer, changed.where) == (example.prompt, example.answer, example.where)
        assert len(set(heard_in([other]))) == 1, "chosen and rejected still hear the same"


def test_recordings_go_round_among_groups_of_the_same_kind():
    groups = [group_of("h", name) for name in "abcd"] + [group_of("h", name, task="sound") for name in "xyz"]
    others = with_other_audio(groups, np.random.default_rng(0))
    assert sorted(map(str, heard_in(others[:4]))) == sorted(map(str, heard_in(groups[:4])))
    assert sorted(map(str, heard_in(others[4:]))) == sorted(map(str, heard_in(groups[4:])))
    circles = {tuple(map(str, heard_in(with_other_audio(groups, np.random.default_rng(seed))))) for seed in range(9)}
    assert len(circles) > 1, "the circle is drawn"


def test_questions_about_one_recording_do_not_hear_it_from_each_other():
    groups = [group_of("h", "a"), group_of("h", "a"), group_of("h", "b"), group_of("h", "a", "c", task="alone")]
    first, second, third, alone = heard_in(with_other_audio(groups, np.random.default_rng(0)))
    assert first == second == (Recording(Path("b")),)
    assert third == (Recording(Path("a")),)
    assert set(alone) == {Recording(Path("b"))}, "alone in its kind, it hears what it did not"
    with pytest.raises(UserError) as refusal:
        with_other_audio([group_of("h:1", "a"), group_of("h:2", "a")], np.random.default_rng(0))
    assert str(refusal.value) == (
        "h:1: no other recording to hear instead: got 1 in all the held-out data, expected at least two different "
        "ones; hold out more"
    )


def test_text_without_recordings_stays_as_it_is():
    groups = [group_of("h:1"), group_of("h:2")]
    assert with_other_audio(groups, np.random.default_rng(0)) == silenced(groups) == groups


def test_silence_keeps_every_token_and_nothing_else(recordings: list[Path], tokenizer: Tokenizer):
    hearing = Hearing(tokenizer, num_mel_bins=16, needs_keys=True)
    groups = [group_of(f"h:{i}", str(path), num_examples=2) for i, path in enumerate(recordings)]
    true, silent, other = (
        hear_groups(variant, hearing.measure, hearing.hear, 2000, 0)
        for variant in (groups, silenced(groups), with_other_audio(groups, np.random.default_rng(0)))
    )
    [[pack], [quiet], [swapped]] = true, silent, other
    assert torch.equal(quiet.inputs.ids, pack.inputs.ids)
    assert torch.equal(quiet.places, pack.places)
    assert quiet.inputs.num_frames == pack.inputs.num_frames
    assert quiet.inputs.heard == pack.inputs.heard
    assert all(features.unique().numel() == 1 for features in quiet.inputs.features), "one level everywhere"
    assert all(features.unique().numel() > 1 for features in pack.inputs.features)
    assert {label.key for label in quiet.labels}.isdisjoint(label.key for label in pack.labels)
    assert sorted(swapped.inputs.num_frames) == sorted(pack.inputs.num_frames)
    assert all(
        torch.equal(swapped.targets[swapped.sequences == number], pack.targets[pack.sequences == number])
        for number in range(6)
    )


def test_silence_knows_where_it_came_from(recordings: list[Path]):
    shard = recordings[0].read_bytes() + recordings[1].read_bytes()
    path = recordings[0].with_name("two.tar")
    path.write_bytes(shard)
    second = Recording(path, recordings[0].stat().st_size, recordings[1].stat().st_size, 2.5)
    [[example]] = silenced([(Example(RawPrompt((Audio(),)), "said", (second,), "h", "data", "asr"),)])
    [silence] = example.recordings
    assert silence == Silenced(path, second.offset, second.num_bytes, 2.5) != second
    assert isinstance(silence.load(), Waveform)
    assert len(silence.load().samples) == len(second.load().samples) == 40_000
    assert not silence.load().samples.any()
