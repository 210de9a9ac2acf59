"""Prompts become pairs of the policy's own answers right before a step is learnt."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from auricle.conversation import Audio, Message, RawPrompt
from auricle.data import Example, Labelled, Pack, Preference, Recording, make_pack
from auricle.data.hear import Hearing
from auricle.data.modes import sft_make
from auricle.data.prompts import read_bank
from auricle.data.refusal import Refusal
from auricle.data.stream import Step
from auricle.train.judges import Case, Judge, Verdict, each
from auricle.train.on_policy import OnPolicy, rollout_make
from auricle.train.rollouts import RolloutSettings
from auricle.weights import Checkpoint

RNG = np.random.default_rng


@pytest.fixture
def hearing(checkpoint: Checkpoint) -> Hearing:
    return Hearing(checkpoint.tokenizer, num_mel_bins=checkpoint.model.config.audio.num_mel_bins, needs_keys=True)


@pytest.fixture
def prompts(hearing: Hearing, recordings: list[Path]) -> Pack:
    """A question with two recordings after another turn, one without sound, and a raw prompt."""
    one, two = Recording(recordings[0]), Recording(recordings[1])
    turns = (
        Message("user", (Audio(), "Who speaks?")),
        Message("assistant", ("A man.",)),
        Message("user", (Audio(), "What is said?")),
        Message("assistant", ("The lazy dog.",)),
    )
    text = (Message("user", ("What is the mood?",)), Message("assistant", ("Good.",)))
    examples = (
        Example(turns, None, (one, two), "m:1", "s", "asr", (False, True)),
        Example(text, None, (), "m:2", "s", "analysis"),
        Example(RawPrompt((Audio(), "Listen:")), " Yes.", (two,), "m:3", "s", "asr"),
    )
    return make_pack(hearing.hear(examples, RNG(0)), refused=(Refusal("m:9", "m:9: cannot hear it"),))


class Judged:
    """Prefers answers with the higher ids, and keeps the cases."""

    def __init__(self) -> None:
        self.cases: list[Case] = []

    def __call__(self, case: Case, answers: Sequence[str]) -> list[Verdict | None]:
        self.cases.append(case)
        return [Verdict((sum(map(ord, answer)) % 101) / 100, "") for answer in answers]


def on_policy(checkpoint: Checkpoint, judge: Judge, **changed: object) -> OnPolicy:
    settings = replace(RolloutSettings(num=6, temperature=1.3, max_new_tokens=10, margin=0.05), **changed)  # type: ignore[arg-type]
    stop_ids = frozenset({*checkpoint.stop_ids, *range(60, 100)})
    return OnPolicy(
        checkpoint.model, checkpoint.tokenizer, stop_ids=stop_ids, judges=[("factual", judge)], settings=settings
    )


def sequences(pack: Pack) -> list[list[int]]:
    return [part.tolist() for part in pack.inputs.ids.split(list(pack.inputs.lengths))]


def said(pack: Pack) -> list[list[int]]:
    return [pack.targets[pack.sequences == number].tolist() for number in range(len(pack.labels))]


def test_prompts_become_pairs_of_the_policys_own_answers(checkpoint: Checkpoint, prompts: Pack):
    judge = Judged()
    hook = on_policy(checkpoint, judge)
    step = hook(Step(3, (prompts,), 1, {"kept": 1}))
    assert (step.number, step.num_rounds, step.state) == (3, 1, {"kept": 1})
    [pack] = step.packs
    assert [case.instruction for case in judge.cases] == ["Audio 2: \nWhat is said?", "What is the mood?", "Listen:"]
    assert [case.reference for case in judge.cases] == ["The lazy dog.", "Good.", "Yes."]
    assert [case.task for case in judge.cases] == ["asr", "analysis", "asr"]
    assert hook.num_prompts == 3
    assert 2 <= hook.num_pairs == len(pack.labels) / 2
    assert pack.refused == prompts.refused
    whole = zip(prompts.labels, sequences(prompts), said(prompts), strict=True)
    originals = {label.where: (ids, answer) for label, ids, answer in whole}
    tokenizer = checkpoint.tokenizer
    scores = []
    for label, ids, answer in zip(pack.labels, sequences(pack), said(pack), strict=True):
        original, reference = originals[label.where]
        end = next(place for place in range(len(original)) if original[place : place + len(reference)] == reference)
        assert ids[:end] == original[:end]  # the prompt as it was
        assert ids[end : end + len(answer)] == answer
        if answer[-1] == reference[-1]:  # it ended by itself, as the reference does, and so does the turn
            assert ids[end + len(answer) :] == original[end + len(reference) :]
            answer = answer[:-1]
        else:
            assert len(answer) == 10
            assert len(ids) == end + 10
        [verdict] = judge(Case("", "", ""), [tokenizer.decode(answer).strip()])
        assert verdict is not None
        scores.append(verdict.score)
    assert all(chosen - rejected >= 0.05 for chosen, rejected in zip(scores[0::2], scores[1::2], strict=True))
    assert [a.where for a in pack.labels[0::2]] == [b.where for b in pack.labels[1::2]]
    assert len({label.key for label in pack.labels}) == len(pack.labels)
    assert all(label.key for label in pack.labels)
    assert len(pack.inputs.features) == len(prompts.inputs.features)  # both answers hear one copy


def test_pairs_hear_what_the_prompt_heard(checkpoint: Checkpoint, prompts: Pack):
    [pack] = on_policy(checkpoint, Judged())(Step(0, (prompts,), 1, {})).packs
    before = dict(zip([label.where for label in prompts.labels], windows(prompts), strict=True))
    for label, heard in zip(pack.labels, windows(pack), strict=True):
        assert len(heard) == len(before[label.where])
        assert all(torch.equal(one, other) for one, other in zip(heard, before[label.where], strict=True))


def windows(pack: Pack) -> list[list[torch.Tensor]]:
    """Of each sequence; every recording of the fixture is one window."""
    counts, heard = {"m:1": 2, "m:2": 0, "m:3": 1}, iter(pack.inputs.heard)
    return [[pack.inputs.features[next(heard)] for _ in range(counts[label.where])] for label in pack.labels]


def test_draws_follow_from_step_and_sequence_alone(checkpoint: Checkpoint, prompts: Pack, hearing: Hearing):
    hook = on_policy(checkpoint, Judged())
    [first] = hook(Step(3, (prompts,), 1, {})).packs
    [again] = on_policy(checkpoint, Judged())(Step(3, (prompts,), 1, {})).packs
    assert sequences(first) == sequences(again)
    [_, behind] = hook(Step(3, (make_pack([]), prompts), 2, {})).packs  # another rank's share, another place
    assert sequences(first) == sequences(behind)
    [later] = hook(Step(4, (prompts,), 1, {})).packs
    assert sequences(first) != sequences(later)


def test_the_model_is_left_as_it_was(checkpoint: Checkpoint, prompts: Pack):
    for training in (True, False):
        checkpoint.model.train(training)
        [pack] = on_policy(checkpoint, Judged())(Step(0, (prompts,), 1, {})).packs
        assert checkpoint.model.training == training
    assert not pack.inputs.features[0].is_inference()  # what is learnt from may take part in a graph


def test_prompts_without_a_pair_are_left_out(checkpoint: Checkpoint, prompts: Pack):
    hook = on_policy(checkpoint, each(lambda case, answer: Verdict(0.5, "all alike")))
    [pack] = hook(Step(0, (prompts,), 1, {})).packs
    assert pack.labels == ()
    assert pack.refused == prompts.refused
    assert (hook.num_prompts, hook.num_pairs) == (3, 0)


def test_an_answer_in_the_middle_is_answered_without_what_follows(
    checkpoint: Checkpoint, hearing: Hearing, recordings: list[Path]
):
    """Only the first answer counts; the later turns, and their recording, belong to another answer."""
    turns = (
        Message("user", (Audio(), "What is said?")),
        Message("assistant", ("The lazy dog.",)),
        Message("user", (Audio(), "And now?")),
        Message("assistant", ("A fox.",)),
    )
    both = (Recording(recordings[0]), Recording(recordings[1]))
    example = Example(turns, None, both, "m:1", "s", "asr", (True, False))
    other = Example(turns[:2], None, both[1:], "m:2", "s", "asr")
    judge = Judged()
    pack = make_pack(hearing.hear((example, other), RNG(0)))
    [pairs] = on_policy(checkpoint, judge)(Step(0, (pack,), 1, {})).packs
    assert [case.reference for case in judge.cases] == ["The lazy dog.", "The lazy dog."]
    assert {label.where for label in pairs.labels} == {"m:1", "m:2"}
    for label, ids in zip(pairs.labels, sequences(pairs), strict=True):
        assert ids.count(checkpoint.tokenizer.special("<|im_start|>")) == 3, label.where  # system, user, assistant
        assert checkpoint.tokenizer.decode(ids).startswith("system\n")
    assert len(pairs.inputs.heard) == len(pairs.labels)


def test_a_preference_is_a_prompt_with_its_preferred_answer():
    recordings = (Recording(Path("a.wav")),)
    messages = (Message("user", (Audio(), "?")),)
    make = rollout_make(sft_make(read_bank()))
    [example] = make(Preference("m", "1", "s", recordings, messages, "Yes.", "No."), RNG(0))
    assert example.prompt == (*messages, Message("assistant", ("Yes.",)))
    [other] = make(Labelled("m", "1", "s", recordings, "asr", "Hello."), RNG(0))
    assert other.prompt[-1] == Message("assistant", ("Hello.",))
