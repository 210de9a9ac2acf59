"""Door 3: from samples and ids to logits, with and without the cache."""

from dataclasses import replace

import pytest
import torch
from transformers import Qwen2AudioForConditionalGeneration

from auricle.model import ModelInput, Qwen2Audio

from .reference import (
    SHAPES,
    TOLERANCE,
    Row,
    Shape,
    cached_logits,
    make_batch,
    model_pair,
    our_logits,
    relative,
    their_logits,
)

pytestmark = pytest.mark.parity

RAGGED: list[Row] = [(9,), (4, 0.3, 5), (3, 0.51, 2, 0.07, 6), (2, 2.0, 1), (7, 1.005, 0.4, 3)]
LAYOUTS: dict[str, list[Row]] = {
    "text only": [(9,), (4,), (12,)],
    "one audio": [(3, 0.4, 5)],
    "equal audios": [(3, 0.4, 5), (6, 0.4, 1)],
    "no text": [(0.4,), (0.2, 0.05)],
    "0, 1 and 2 audios": RAGGED,
    "a full window": [(3, 30.0, 2), (1, 0.2, 4)],
}
CONTROL = 100 * TOLERANCE  # a negative control must miss by at least this

Pair = tuple[Qwen2AudioForConditionalGeneration, Qwen2Audio]


@pytest.fixture(scope="module", params=SHAPES, ids=str)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    shape: Shape = request.param
    return model_pair(shape, tmp_path_factory.mktemp("logits"))


@pytest.mark.parametrize("rows", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_logits_equal_the_reference(pair: Pair, rows: list[Row]) -> None:
    reference, model = pair
    batch = make_batch(rows)
    ours = our_logits(model, batch.inputs)[batch.inputs.valid]
    assert relative(ours, their_logits(reference, batch)) <= TOLERANCE


def test_the_cache_changes_nothing(pair: Pair) -> None:
    """Two chunks of prefill, then single steps; the oracle is the forward over everything at once."""
    reference, model = pair
    batch = make_batch(RAGGED)
    num_tokens, valid = batch.inputs.ids.shape[1], batch.inputs.valid
    cuts = [num_tokens // 2, *range(num_tokens - 4, num_tokens)]
    cached = cached_logits(model, batch.inputs, cuts)[valid]
    assert relative(cached, our_logits(model, batch.inputs)[valid]) <= TOLERANCE
    assert relative(cached, their_logits(reference, batch)) <= TOLERANCE


def test_a_cache_that_forgets_fails(pair: Pair) -> None:
    """Negative control: the second half read without the first."""
    model = pair[1]
    inputs = make_batch(RAGGED).inputs
    half = inputs.ids.shape[1] // 2
    with torch.inference_mode():
        embeddings, positions = model.embed(inputs), inputs.positions
        alone = model.logits(model.decode(embeddings[:, half:], positions[:, half:], inputs.valid[:, half:], None))
    assert relative(alone, our_logits(model, inputs)[:, half:]) > CONTROL


def test_a_row_is_answered_alike_in_any_company(pair: Pair) -> None:
    model = pair[1]
    together = make_batch(RAGGED).inputs
    logits, valid = our_logits(model, together), together.valid
    windows = iter(zip(together.features.split(1), together.num_frames.split(1), strict=True))
    for row, parts in enumerate(RAGGED):
        mine = [next(windows) for part in parts if isinstance(part, float)]
        alone = ModelInput(
            together.ids[row][None, valid[row]],
            valid[row][None, valid[row]],
            torch.cat([features for features, _ in mine]) if mine else torch.zeros(0, 0, 0),
            torch.cat([num_frames for _, num_frames in mine]) if mine else torch.zeros(0, dtype=torch.long),
        )
        assert relative(our_logits(model, alone)[0], logits[row, valid[row]]) <= TOLERANCE


def test_with_the_audios_in_another_order_it_fails(pair: Pair) -> None:
    """Negative control: two recordings of one length change places."""
    reference, model = pair
    batch = make_batch(LAYOUTS["equal audios"])
    swapped = replace(batch.inputs, features=batch.inputs.features.flip(0))
    ours = our_logits(model, swapped)[batch.inputs.valid]
    assert relative(ours, their_logits(reference, batch)) > CONTROL


def test_without_the_padding_mask_it_fails(pair: Pair) -> None:
    """Negative control: shorter prompts see the padding on their left."""
    reference, model = pair
    batch = make_batch(LAYOUTS["text only"])
    unmasked = replace(batch.inputs, valid=torch.ones_like(batch.inputs.valid))
    ours = our_logits(model, unmasked)[batch.inputs.valid]
    assert relative(ours, their_logits(reference, batch)) > CONTROL


@pytest.mark.parametrize("change", [{"norm_eps": 1e-6}, {"rope_theta": 10_000.0}], ids=str)
def test_with_a_default_in_the_place_of_the_checkpoints_number_it_fails(pair: Pair, change: dict[str, float]) -> None:
    """Negative control: the epsilon and the theta of config.json matter."""
    reference, model = pair
    batch = make_batch(RAGGED)
    other = Qwen2Audio(replace(model.config, text=replace(model.config.text, **change))).eval()
    other.load_state_dict(model.state_dict())
    ours = our_logits(other, batch.inputs)[batch.inputs.valid]
    assert relative(ours, their_logits(reference, batch)) > CONTROL
