"""Door 3 at length: 216 random prompts through nine models, every real position of every prompt compared.

The worst figure of all is printed at the end (`pytest -s`) and recorded as the property `worst`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from transformers import Qwen2AudioForConditionalGeneration

from auricle.model import Qwen2Audio

from .reference import (
    SHAPES,
    SLIDING_SHAPES,
    TOLERANCE,
    Batch,
    Row,
    Shape,
    make_batch,
    model_pair,
    our_logits,
    relative,
    their_logits,
)

pytestmark = pytest.mark.parity

ALL_SHAPES = [*SHAPES, *SLIDING_SHAPES]
NUM_BATCHES, BATCH = 3, 8  # of each model
HESITATION = 1e-4  # between the reference's two best logits
CONTROL = 100 * TOLERANCE

Pair = tuple[Qwen2AudioForConditionalGeneration, Qwen2Audio]


@dataclass
class Seen:
    """What was compared so far."""

    num_prompts: int = 0
    worst: float = 0.0
    num_positions: int = 0
    num_hesitant: int = 0


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    seen = Seen()
    yield seen
    print(
        f"\n{seen.num_prompts} prompts, {seen.num_positions} positions: worst logit {seen.worst:.1e} of the largest; "
        f"{seen.num_hesitant} positions where the reference hesitates"
    )


@pytest.fixture(scope="module", params=range(len(ALL_SHAPES)), ids=[str(shape) for shape in ALL_SHAPES])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Pair, list[Batch]]:
    """A model with prompts that no other model reads."""
    shape: Shape = ALL_SHAPES[request.param]
    batches = [make_batch(rows, seed=100 * request.param + n) for n, rows in enumerate(random_batches(request.param))]
    return model_pair(shape, tmp_path_factory.mktemp("many"), seed=request.param), batches


def random_batches(model_number: int) -> list[list[Row]]:
    rng = np.random.default_rng(model_number)
    return [random_rows(rng) for _ in range(NUM_BATCHES)]


def random_rows(rng: np.random.Generator) -> list[Row]:
    """0, 1 or 3 recordings in turn; text before, between and after them, each left out one time in four."""
    rows = []
    for number in range(BATCH):
        row: list[int | float] = []
        for _ in range((0, 1, 3)[number % 3]):
            row += [random_text(rng), round(float(rng.uniform(0.03, 1.5)), 3)]
        row.append(random_text(rng))
        rows.append(tuple(part for part in row if part) or (1,))
    return rows


def random_text(rng: np.random.Generator) -> int:
    return 0 if rng.random() < 0.25 else int(rng.integers(1, 20))


def prompts(values: torch.Tensor, batch: Batch) -> list[torch.Tensor]:
    """[real tokens, ...] -> one tensor a prompt."""
    return list(values.split(batch.inputs.valid.sum(dim=1).tolist()))


def test_every_prompt_equals_the_reference(
    case: tuple[Pair, list[Batch]], seen: Seen, record_property: Callable[[str, object], None]
) -> None:
    (reference, model), batches = case
    for batch in batches:
        theirs, ours = their_logits(reference, batch), our_logits(model, batch.inputs)[batch.inputs.valid]
        for mine, other, item in zip(prompts(ours, batch), prompts(theirs, batch), batch.prepared, strict=True):
            difference = relative(mine, other)
            assert difference <= TOLERANCE, item.prompt
            best = other.topk(2).values
            hesitates = best[:, 0] - best[:, 1] < HESITATION
            assert (mine.argmax(dim=-1) == other.argmax(dim=-1))[~hesitates].all(), item.prompt
            seen.worst = max(seen.worst, difference)
            seen.num_positions += len(mine)
            seen.num_hesitant += int(hesitates.sum())
        seen.num_prompts += len(batch.prepared)
    record_property("worst", seen.worst)
    assert seen.num_hesitant < seen.num_positions / 100


def test_with_other_sound_it_fails(case: tuple[Pair, list[Batch]]) -> None:
    """Negative control: where there is sound every prompt misses, and where there is none it does not."""
    (_, model), batches = case
    batch = batches[0]
    noise = torch.randn(batch.inputs.features.shape, generator=torch.Generator().manual_seed(0))
    right = our_logits(model, batch.inputs)[batch.inputs.valid]
    wrong = our_logits(model, replace(batch.inputs, features=noise))[batch.inputs.valid]
    same = []
    for mine, other, item in zip(prompts(wrong, batch), prompts(right, batch), batch.prepared, strict=True):
        difference, has_sound = relative(mine, other), bool(item.mels)
        assert difference > CONTROL if has_sound else difference <= TOLERANCE
        if has_sound:
            same.append((mine.argmax(dim=-1) == other.argmax(dim=-1)).float().mean())
    assert float(torch.stack(same).mean()) < 0.8  # the ids notice as well


def test_one_other_word_fails(case: tuple[Pair, list[Batch]]) -> None:
    """Negative control: the first text token of a prompt replaced by the next id."""
    (_, model), batches = case
    batch = batches[0]
    ids = batch.inputs.ids.clone()
    changed = []
    for row, item in enumerate(batch.prepared):
        places = range(ids.shape[1] - len(item.prompt.ids), ids.shape[1])
        text = [p for p in places if ids[row, p] != model.config.audio_token_id]
        changed.append(bool(text))
        if text:
            ids[row, text[0]] = ids[row, text[0]] % (model.config.audio_token_id - 1) + 1
    right = our_logits(model, batch.inputs)[batch.inputs.valid]
    wrong = our_logits(model, replace(batch.inputs, ids=ids))[batch.inputs.valid]
    for mine, other, differs in zip(prompts(wrong, batch), prompts(right, batch), changed, strict=True):
        assert (relative(mine, other) > CONTROL) is differs


def test_the_prompts_are_many_and_of_every_kind() -> None:
    rows = [row for number in range(len(ALL_SHAPES)) for batch in random_batches(number) for row in batch]
    assert len(rows) >= 200
    kinds = {(sum(isinstance(part, float) for part in row), isinstance(row[0], int)) for row in rows}
    assert kinds == {(0, True), (1, True), (1, False), (3, True), (3, False)}
    assert any(isinstance(row[-1], float) for row in rows)
    assert any(isinstance(a, float) and isinstance(b, float) for row in rows for a, b in pairwise(row))
