"""Steps: one global order, whatever the ranks, the workers and the place where a run was interrupted."""

import json
from collections import Counter
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import fake_stage
import numpy as np
import pytest
import torch
from fake_stage import Seen, record, seen, source, stream
from hypothesis import given, settings
from hypothesis import strategies as st

from auricle import units
from auricle.conversation import Audio, RawPrompt
from auricle.data import Example, Group, Label, Labelled, Recording
from auricle.data.hear import Hearing
from auricle.data.mixture import Mixture
from auricle.data.stream import Source, Step, Stream
from auricle.errors import UserError
from auricle.prepare import Prepared, Prompt
from auricle.text import Tokenizer


def steps(data: Stream, num: int) -> list[Step]:
    with closing(iter(data)) as endless:
        return list(islice(endless, num))


def all_packs(taken: list[Step]) -> list[list[Seen]]:
    return [[seen(pack) for pack in step.packs] for step in taken]


def naive(sources: list[Source], num_steps: int, *, seed: int, pack_tokens: int, packs: int, longest: int) -> list:
    """Records one after another into plain lists: for each step's packs the records in them and the refusals."""
    mixture, open_, finished, refused = Mixture(sources, seed), [], [], []
    while len(finished) < num_steps * packs:
        draw = mixture.draw()
        drawn = sources[draw.source].records[draw.record]
        tokens, leaving = int(drawn.target), None
        if drawn.source == "cannot be made" or tokens > longest:
            refused.append(drawn.where)
            continue
        rooms = [pack_tokens - sum(int(one.target) for one in pack) for pack in open_]
        fitting = [place for place, room in enumerate(rooms) if tokens <= room]
        if tokens >= pack_tokens:
            leaving = [drawn]
        elif fitting:
            place = min(fitting, key=lambda place: rooms[place])
            open_[place].append(drawn)
            leaving = open_.pop(place) if rooms[place] == tokens else None
        else:
            open_.append([drawn])
            leaving = open_.pop(0) if len(open_) > 32 else None
        if leaving:
            heard = [one.where for one in leaving if one.source not in ("cannot be heard", "longer")]
            unheard = [one.where for one in leaving if one.source in ("cannot be heard", "longer")]
            finished.append((heard, refused + unheard))
            refused = []
    return [finished[start : start + packs] for start in range(0, len(finished), packs)]


troubles = st.lists(
    st.sampled_from(["fine", "fine", "fine", "cannot be made", "cannot be heard", "longer"]), max_size=6
)
lengths = st.lists(st.integers(30, 120), min_size=1, max_size=8).map(lambda some: [*some, 40])
source_lists = st.lists(
    st.builds(source, st.sampled_from(["a", "b"]), lengths, st.integers(1, 4).map(float), troubles),
    min_size=1,
    max_size=3,
)


def with_a_good_one(sources: list[Source]) -> list[Source]:
    return [*sources, source("good", [45], 1.0)]


@settings(max_examples=25)
@given(sources=source_lists.map(with_a_good_one), seed=st.integers(0, 99), packs=st.integers(1, 4))
def test_steps_are_those_of_plain_lists(sources: list[Source], seed: int, packs: int):
    """Records, order, refusals, and each pack's ids within what was planned."""
    taken = steps(stream(sources, seed=seed, packs_per_step=packs, max_tokens=110), 3)
    expected = naive(sources, 3, seed=seed, pack_tokens=100, packs=packs, longest=110)
    names = [
        [(names, [said.split(": ")[0] for said in told]) for _, _, names, told in step] for step in all_packs(taken)
    ]
    assert names == expected
    assert [step.number for step in taken] == [0, 1, 2]
    for step in taken:
        assert step.num_rounds == packs
        assert all(sum(pack.inputs.lengths) <= 110 for pack in step.packs)
        assert 0 < step.fill <= 1


@settings(max_examples=25)
@given(sources=source_lists.map(with_a_good_one), world_size=st.integers(2, 6), packs=st.integers(1, 5))
def test_ranks_share_each_step_of_one_order(sources: list[Source], world_size: int, packs: int):
    alone = steps(stream(sources, packs_per_step=packs), 4)
    shares = [
        steps(stream(sources, packs_per_step=packs, rank=rank, world_size=world_size), 4) for rank in range(world_size)
    ]
    for number, step in enumerate(alone):
        whole = [seen(pack) for pack in step.packs]
        for rank, share in enumerate(shares):
            own = share[number]
            assert [seen(pack) for pack in own.packs] == whole[rank::world_size]
            assert (own.state, own.fill, own.num_rounds) == (step.state, step.fill, -(-packs // world_size))
            assert len(own.packs) <= own.num_rounds


@settings(max_examples=25)
@given(
    sources=source_lists.map(with_a_good_one),
    cut=st.integers(1, 5),
    seed=st.integers(0, 99),
    before=st.integers(1, 3),
    after=st.integers(1, 3),
)
def test_a_loaded_state_goes_on_as_if_nothing_had_happened(
    sources: list[Source], cut: int, seed: int, before: int, after: int
):
    """Also on another number of ranks: ids, refusals, numbers and the states that follow."""
    unbroken = steps(stream(sources, seed=seed), cut + 3)
    saved = json.loads(json.dumps(steps(stream(sources, seed=seed, world_size=before), cut)[-1].state))
    for rank in range(after):
        continued = stream(sources, seed=seed, rank=rank, world_size=after)
        continued.load_state(saved)
        rest = steps(continued, 3)
        assert all_packs(rest) == [packs[rank::after] for packs in all_packs(unbroken[cut:])]
        assert [(step.number, step.state, step.fill) for step in rest] == [
            (step.number, step.state, step.fill) for step in unbroken[cut:]
        ]


def test_workers_change_nothing():
    sources = [source("a", [30, 41, 57, 60, 88, 99], 2.0, ["cannot be heard"]), source("b", [45, 150, 300])]
    alone = steps(stream(sources), 6)
    assert all_packs(steps(stream(sources, num_workers=2), 6)) == all_packs(alone)
    continued = stream(sources, num_workers=1, rank=1, world_size=2)
    continued.load_state(steps(stream(sources, num_workers=2, world_size=2), 2)[-1].state)
    rest = steps(continued, 4)
    assert all_packs(rest) == [packs[1::2] for packs in all_packs(alone[2:])]
    assert [step.state for step in rest] == [step.state for step in alone[2:]], "what is ahead is not in the state"


def test_each_iteration_starts_again():
    data = stream([source("a", [30, 41, 57, 60])])
    first, second = iter(data), iter(data)
    taken = [next(first), next(first)]
    assert seen(next(second).packs[0]) == seen(taken[0].packs[0]) != seen(taken[1].packs[0])


def test_what_is_drawn_depends_on_the_seed_and_differs_from_epoch_to_epoch():
    [step], [other] = (steps(stream([source("a", [50, 50])], seed=seed), 1) for seed in (1, 2))
    ids = [tuple(pack.inputs.ids.tolist()) for pack in (*step.packs, *other.packs)]
    assert len(set(ids)) == len(ids) == 8, "two records, made and heard anew each time"


def test_a_draw_is_made_and_heard_with_generators_of_its_own():
    """One record that fills a pack: the d-th pack is the d-th draw."""
    [step] = steps(stream([source("a", [100])], seed=7), 1)
    for number, pack in enumerate(step.packs):
        prompted, heard = (np.random.default_rng((7, number, purpose)) for purpose in (0, 1))
        size = 100 - int(heard.integers(3))
        assert pack.inputs.ids.tolist() == [prompted.integers(2**31), *heard.integers(2**31, size=size - 1).tolist()]


def test_what_is_heard_is_what_was_measured():
    """A prompt of drawn length, which is heard in full: made twice, it must be the same twice."""

    def make(one: Labelled, rng: np.random.Generator) -> Group:
        [example] = fake_stage.make(one, rng)
        return (replace(example, answer=str(rng.integers(10, 90))),)

    def hear(group: Group, rng: np.random.Generator) -> list:
        num = int(group[0].answer)
        return [(Prepared(Prompt((1,) * num, (False,) * num, ())), Label(group[0].where, "a", "asr"))]

    taken = steps(stream([source("a", [1, 1, 1])], make=make, hear=hear), 5)
    for step in taken:
        assert [pack.refused for pack in step.packs] == [()] * 4
        assert step.fill == sum(sum(pack.inputs.lengths) for pack in step.packs) / 400
    assert len({length for step in taken for pack in step.packs for length in pack.inputs.lengths}) > 10


def test_a_rank_hears_its_own_packs_only_and_plans_no_more_than_it_must():
    heard, made = [], []

    def hear(group: Group, rng: np.random.Generator) -> list:
        heard.append(group[0].where)
        return fake_stage.hear(group, rng)

    def make(one: Labelled, rng: np.random.Generator) -> Group:
        made.append(one.where)
        return fake_stage.make(one, rng)

    data = stream([source("a", [50] * 64)], rank=1, world_size=4, make=make, hear=hear)
    [step] = steps(data, 1)
    assert heard == [label.where for label in step.packs[0].labels]
    assert len(heard) == 2
    assert len(made) == 4 * 2 + 2, "all are planned, its own made once more to be heard"
    made.clear()
    data.load_state(step.state)
    steps(data, 1)
    assert len(made) == 10, "what was planned before is not planned again"


def test_every_refusal_is_told_once_and_no_step_changes_shape():
    """On three ranks together: what cannot be made, is too long, cannot be heard, or is longer than planned."""
    first = source("a", [60, 60, 60, 500, 60], 1.0, ["cannot be made", "cannot be heard", "longer"])
    shares = [steps(stream([first], rank=rank, world_size=3, packs_per_step=5), 8) for rank in range(3)]
    told = Counter(said.why for share in shares for step in share for pack in step.packs for said in pack.refused)
    assert set(told) == {
        "a:0: no prompt for it",
        "a:1: nothing is heard",
        "a:2: longer than planned: 61 tokens, expected at most 60; correct the duration that its manifest states",
        "a:3: too long: 500 tokens, expected at most max_tokens 200; nothing is cut, so give a shorter recording or "
        "text, or raise max_tokens",
    }
    packs = [pack for share in shares for step in share for pack in step.packs]
    assert len(packs) == 8 * 5
    after = shares[0][-1].state["plan"]
    waiting = sum(map(len, after["packer"]["open"]))
    assert sum(len(pack.labels) for pack in packs) + told.total() + waiting == after["mixture"]["draws"]


def test_an_emptied_pack_is_a_pack_of_no_sequences():
    [step] = steps(stream([source("a", [100], troubles=["cannot be heard"])], packs_per_step=2), 1)
    for pack in step.packs:
        assert pack.labels == pack.inputs.lengths == ()
        assert pack.refused == (("a:0", "a:0: nothing is heard"),)
        for numbers in (pack.inputs.ids, pack.inputs.positions, pack.places, pack.targets, pack.sequences):
            assert (numbers.shape, numbers.dtype) == ((0,), torch.int64)
        assert pack.audio_s == 0
        assert pack.to(torch.device("cpu")).labels == ()
    assert step.fill == 1.0


@pytest.mark.parametrize("num_workers", [0, 1])
def test_when_nothing_but_refusals_comes_the_run_ends_with_a_sentence(num_workers: int):
    """Only after every step that was whole before it."""
    bad = source("bad", [100, 900], 1.0, ["cannot be made"])
    with pytest.raises(UserError) as refusal:
        steps(stream([bad], num_workers=num_workers), 1)
    assert str(refusal.value).startswith(
        "nothing to learn from: 1000 records in a row were refused, expected usable ones; the last: bad:"
    )

    rare = [source("good", [51]), source("bad", [100], 99.0, ["cannot be made"])]
    [step] = steps(stream(rare, packs_per_step=1), 1)
    assert len(step.packs[0].refused) > 1000, "many before a pack is finished, but never so many in a row"

    class Drying(list):
        """Its first twelve reads are fine; afterwards it says so of nothing."""

        reads = 0

        def __getitem__(self, place: int) -> Labelled:
            Drying.reads += 1
            return record("a", 100, trouble="fine" if Drying.reads <= 24 else "cannot be made")

    drying = stream([Source("a", Drying([0]), 1.0)], num_workers=num_workers, packs_per_step=4)
    Drying.reads = 0
    taken = []
    with closing(iter(drying)) as endless, pytest.raises(UserError, match="1000 records in a row"):
        taken.extend(endless)
    assert len(taken) == 3, "24 reads: each pack is planned and asked for once"


def test_a_group_is_never_torn_apart():
    pairs = Source("pairs", [record(f"p:{i}", 40 + i, pair=True) for i in range(5)], 1.0)
    for step in steps(stream([pairs, source("a", [20])]), 5):
        for pack in step.packs:
            counts = Counter(label.where for label in pack.labels if label.task == "pair")
            assert all(count % 2 == 0 for count in counts.values())


@pytest.mark.parametrize("sizes", [[1], [5], [3, 40]])
def test_fewer_records_than_a_pack_holds_come_again(sizes: list[int]):
    [step] = steps(stream([source("a", sizes)]), 1)
    assert all(sum(pack.inputs.lengths) >= 50 for pack in step.packs)
    assert {label.where for pack in step.packs for label in pack.labels} == {f"a:{i}" for i in range(len(sizes))}


def test_more_ranks_than_packs_leave_some_without_any():
    data = stream([source("a", [50])], packs_per_step=2, rank=2, world_size=3, num_workers=2)
    taken = steps(data, 3)
    assert [(step.number, step.packs, step.num_rounds) for step in taken] == [(0, (), 1), (1, (), 1), (2, (), 1)]
    assert taken[-1].state == steps(stream([source("a", [50])], packs_per_step=2), 3)[-1].state


def test_packs_of_log_normal_lengths_are_at_least_95_percent_full():
    rng = np.random.default_rng(0)
    usual = source("a", [int(n) for n in rng.lognormal(np.log(250), 0.7, 2000)])
    taken = steps(stream([usual], pack_tokens=4096, max_tokens=8192, packs_per_step=8), 10)
    assert min(step.fill for step in taken) >= 0.95
    for step in taken:
        planned = sum(int(usual.records[int(label.where[2:])].target) for pack in step.packs for label in pack.labels)
        assert step.fill == pytest.approx(planned / (8 * 4096))


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [("seed", -1, 0), ("pack_tokens", 0, 1), ("packs_per_step", 0, 1), ("max_tokens", 0, 1), ("num_workers", -1, 0)],
)
def test_numbers_out_of_range_are_refused(name: str, value: int, least: int):
    with pytest.raises(UserError, match=f"^{name} must be at least {least}: got {value}$"):
        stream([source("a", [50])], **{name: value})


def test_a_rank_outside_its_world_and_a_group_of_no_tokens_are_bugs():
    with pytest.raises(ValueError, match="rank 2 of 2"):
        stream([source("a", [50])], rank=2, world_size=2)
    with pytest.raises(ValueError, match="a:0 measures 0 tokens"):
        steps(stream([source("a", [0])]), 1)
    with pytest.raises(UserError, match="the source a holds 0 records"):
        stream([source("a", [])])


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("seed", {"seed": 4}),
        ("pack_tokens", {"pack_tokens": 99}),
        ("packs_per_step", {"packs_per_step": 5}),
        ("max_tokens", {"max_tokens": 201}),
        ("sources", {"sources": [source("a", [50, 51])]}),
        ("sources", {"sources": [source("b", [50])]}),
        ("sources", {"sources": [source("a", [50], 2.0)]}),
    ],
)
def test_a_state_of_other_data_is_refused(name: str, changed: dict):
    [step] = steps(stream([source("a", [50])]), 1)
    other = stream(**({"sources": [source("a", [50])]} | changed))
    with pytest.raises(
        UserError, match=f"cannot continue the data where they stopped: {name} was .*, now it is .*; keep"
    ):
        other.load_state(step.state)


def transcribed(one: Labelled, rng: np.random.Generator) -> Group:
    """A prompt drawn from two."""
    asked = ("What is said?", "Detect the language and recognize the speech:")[rng.integers(2)]
    return (Example(RawPrompt((Audio(), asked)), one.target, one.recordings, one.where, one.source, one.task),)


def test_recordings_come_through_workers_as_they_are_heard_here(recordings: list[Path], tokenizer: Tokenizer):
    paths = [*recordings, recordings[0].with_name("missing.wav")]
    labelled = [
        Labelled(f"data.jsonl:{i}", str(i), "data", (Recording(path, duration_s=4.0),), "asr", "The quick brown fox")
        for i, path in enumerate(paths)
    ]
    hearing = Hearing(tokenizer, num_mel_bins=16)

    def of(num_workers: int, rank: int = 0, world_size: int = 1) -> list[Step]:
        data = Stream(
            [Source("data", labelled, 1.0)],
            make=transcribed,
            measure=hearing.measure,
            hear=hearing.hear,
            seed=0,
            pack_tokens=400,
            packs_per_step=3,
            max_tokens=400,
            rank=rank,
            world_size=world_size,
            num_workers=num_workers,
        )
        return steps(data, 2)

    here, there, second = of(0), of(2), of(1, rank=1, world_size=2)
    assert all_packs(there) == all_packs(here)
    assert all_packs(second) == [packs[1::2] for packs in all_packs(here)]
    for step, same in zip(here, there, strict=True):
        for pack, other in zip(step.packs, same.packs, strict=True):
            assert pack.inputs.num_frames == other.inputs.num_frames
            assert all(map(torch.equal, pack.inputs.features, other.inputs.features))
            assert pack.inputs.heard == tuple(range(len(pack.labels)))
            num_audio = sum(units.tokens_from_frames(num) for num in pack.inputs.num_frames)
            assert (pack.inputs.ids == tokenizer.special("<|AUDIO|>")).sum() == num_audio > 0
            assert all("missing.wav" in said.why and said.where == "data.jsonl:3" for said in pack.refused)
    assert {num for step in here for pack in step.packs for num in pack.inputs.num_frames} == {100, 250, 400}
    assert any(pack.refused for step in here for pack in step.packs)
