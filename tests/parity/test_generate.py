"""Door 4: greedy ids. They may differ only where the reference itself hesitates between two tokens."""

from dataclasses import dataclass, replace

import pytest
import torch
from transformers import Qwen2AudioForConditionalGeneration

from auricle.conversation import Sampling
from auricle.generate import Generated, generate
from auricle.model import Qwen2Audio
from auricle.prepare import collate

from .reference import PAD_ID, SHAPES, Batch, Row, Shape, make_batch, model_pair

pytestmark = pytest.mark.parity

ROWS: list[Row] = [(9,), (4, 0.3, 5), (3, 0.51, 2, 0.07, 6), (2, 2.0, 1), (7, 1.005, 0.4, 3)]
NUM_NEW = 24
HESITATION = 1e-4  # between the reference's two best logits


@dataclass(frozen=True)
class Theirs:
    """ids of each row up to its stop token, how far the best logit was ahead, and its log-probability at each step."""

    ids: list[list[int]]
    margins: list[list[float]]
    logprobs: list[list[float]]


@dataclass(frozen=True)
class Case:
    """A reference, the same model of ours, one batch, and what the reference says to it when nothing stops it."""

    reference: Qwen2AudioForConditionalGeneration
    model: Qwen2Audio
    batch: Batch
    theirs: Theirs


@pytest.fixture(scope="module", params=SHAPES, ids=str)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    shape: Shape = request.param
    reference, model = model_pair(shape, tmp_path_factory.mktemp("generate"))
    batch = make_batch(ROWS)
    return Case(reference, model, batch, their_answers(reference, batch, frozenset()))


def their_answers(reference: Qwen2AudioForConditionalGeneration, batch: Batch, stop_ids: frozenset[int]) -> Theirs:
    output = reference.generate(
        **batch.theirs,
        do_sample=False,
        max_new_tokens=NUM_NEW,
        eos_token_id=sorted(stop_ids) or None,
        pad_token_id=PAD_ID,
        output_logits=True,
        return_dict_in_generate=True,
    )
    rows = output.sequences[:, batch.inputs.ids.shape[1] :].tolist()
    logits = torch.stack(output.logits, dim=1)
    best = logits.topk(2).values
    lengths = [next((i for i, token_id in enumerate(row) if token_id in stop_ids), len(row)) for row in rows]
    return Theirs(
        [row[:n] for row, n in zip(rows, lengths, strict=True)],
        (best[..., 0] - best[..., 1]).tolist(),
        logits.log_softmax(dim=-1).amax(dim=-1).tolist(),
    )


def our_answers(model: Qwen2Audio, batch: Batch, stop_ids: frozenset[int] = frozenset()) -> list[Generated]:
    return generate(model, batch.inputs, Sampling(max_new_tokens=NUM_NEW), stop_ids=stop_ids)


def agree(ours: list[int], theirs: list[int], margins: list[float]) -> bool:
    """Whether two answers are the same up to a place where the reference hesitates, from which on they may differ."""
    for step, margin in enumerate(margins):
        if ours[step : step + 1] != theirs[step : step + 1]:
            return margin < HESITATION
    return len(ours) == len(theirs)


def test_greedy_ids_equal_the_reference(case: Case) -> None:
    theirs, ours = case.theirs, our_answers(case.model, case.batch)
    for row, answer in enumerate(ours):
        assert agree(answer.ids, theirs.ids[row], theirs.margins[row]), f"row {row}: {answer.ids} {theirs.ids[row]}"
        assert answer.finish_reason == "length"
        if answer.ids == theirs.ids[row]:
            assert answer.logprob == pytest.approx(sum(theirs.logprobs[row]), abs=1e-3)
    assert sum(answer.ids == ids for answer, ids in zip(ours, theirs.ids, strict=True)) >= len(ours) - 1
    assert len({token_id for ids in theirs.ids for token_id in ids}) > NUM_NEW  # no answer that any model would give


def test_rows_stop_where_the_reference_stops(case: Case) -> None:
    """Rows leave the batch one after another: the cache of the others must stay theirs."""
    stop_ids = frozenset({case.theirs.ids[1][3], case.theirs.ids[3][8]})
    theirs = their_answers(case.reference, case.batch, stop_ids)
    assert len({len(ids) for ids in theirs.ids}) > 1
    for row, answer in enumerate(our_answers(case.model, case.batch, stop_ids)):
        assert agree(answer.ids, theirs.ids[row], theirs.margins[row]), f"row {row}: {answer.ids} {theirs.ids[row]}"
        if answer.ids == theirs.ids[row]:
            assert answer.finish_reason == ("length" if len(theirs.ids[row]) == NUM_NEW else "stop")


def test_a_batch_never_changes_an_answer(case: Case) -> None:
    """Five prompts at once, in twos and one at a time: the same ids, the same log-probability."""
    batch, together = case.batch, our_answers(case.model, case.batch)
    for size in (1, 2):
        for start in range(0, len(ROWS), size):
            part = batch.prepared[start : start + size]
            apart = our_answers(case.model, replace(batch, inputs=collate(part, pad_id=PAD_ID)))
            for one, other in zip(apart, together[start : start + size], strict=True):
                assert one.ids == other.ids
                assert one.logprob == pytest.approx(other.logprob, abs=1e-3)


def test_with_other_recordings_it_fails(case: Case) -> None:
    """Negative control: other sound in the same prompts gives other answers, and only where there is sound."""
    theirs, other = case.theirs, make_batch(ROWS, seed=1).inputs.features
    deaf = replace(case.batch, inputs=replace(case.batch.inputs, features=other))
    answers = our_answers(case.model, deaf)
    agreed = [agree(a.ids, theirs.ids[row], theirs.margins[row]) for row, a in enumerate(answers)]
    assert agreed == [all(isinstance(part, int) for part in row) for row in ROWS]


@pytest.mark.parametrize(
    ("ours", "agreed"),
    [([5, 6, 7], True), ([5, 9, 9], True), ([5, 6, 9], False), ([9, 6, 7], False), ([5, 6], False)],
)
def test_the_comparison_itself(ours: list[int], agreed: bool) -> None:
    """Only at its second step does this reference hesitate."""
    assert agree(ours, [5, 6, 7], [0.5, 0.5e-4, 0.5]) is agreed
