"""Layers that see a window only: the same layers, the same window and the same logits and ids as the reference."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Qwen2AudioForConditionalGeneration, Qwen2Config

from auricle.conversation import Sampling
from auricle.errors import UserError
from auricle.generate import generate
from auricle.model import Qwen2Audio
from auricle.weights import write_model
from auricle.weights.config_json import config_from_json, config_to_json

from .reference import (
    NUM_LAYERS,
    PAD_ID,
    SHAPES,
    SLIDING_SHAPES,
    TOLERANCE,
    Batch,
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

ROWS: list[Row] = [(17,), (4, 0.3, 5), (3, 0.51, 2, 0.07, 6), (3,), (7, 1.005, 0.4, 3)]
CONTROL = 100 * TOLERANCE  # a negative control must miss by at least this
NUM_NEW = 24  # beyond every window but the last
HESITATION = 1e-4


@dataclass(frozen=True)
class Case:
    """A reference with windows, the same model of ours, and the reference's logits [tokens, vocabulary]."""

    shape: Shape
    reference: Qwen2AudioForConditionalGeneration
    model: Qwen2Audio
    theirs: torch.Tensor


@pytest.fixture(scope="module")
def batch() -> Batch:
    return make_batch(ROWS)


@pytest.fixture(scope="module", params=SLIDING_SHAPES, ids=str)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, batch: Batch) -> Case:
    reference, model = model_pair(request.param, tmp_path_factory.mktemp("sliding"))
    return Case(request.param, reference, model, their_logits(reference, batch))


def with_windows(model: Qwen2Audio, window: int | None, layers: tuple[int, ...]) -> Qwen2Audio:
    """The same weights with other windows."""
    text = replace(model.config.text, sliding_window=window, sliding_layers=layers)
    other = Qwen2Audio(replace(model.config, text=text)).eval()
    other.load_state_dict(model.state_dict())
    return other


def test_the_checkpoints_windows_are_read(case: Case) -> None:
    text = case.model.config.text
    assert (text.sliding_window, text.sliding_layers) == (case.shape.window, case.shape.sliding_layers)
    theirs = [layer.self_attn.sliding_window for layer in case.reference.model.language_model.layers]
    assert list(text.windows) == theirs


def test_logits_equal_the_reference(case: Case, batch: Batch) -> None:
    assert relative(our_logits(case.model, batch.inputs)[batch.inputs.valid], case.theirs) <= TOLERANCE


def test_the_cache_changes_nothing(case: Case, batch: Batch) -> None:
    """Two chunks of prefill, both longer than the windows, then single steps beyond them."""
    num_tokens, valid = batch.inputs.ids.shape[1], batch.inputs.valid
    cuts = [num_tokens // 2, *range(num_tokens - 12, num_tokens)]
    assert relative(cached_logits(case.model, batch.inputs, cuts)[valid], case.theirs) <= TOLERANCE


def test_greedy_ids_equal_the_reference(case: Case, batch: Batch) -> None:
    """Up to where the reference hesitates; its own cache forgets what lies before the windows, ours masks it."""
    output = case.reference.generate(
        **batch.theirs,
        do_sample=False,
        max_new_tokens=NUM_NEW,
        eos_token_id=None,
        pad_token_id=PAD_ID,
        output_logits=True,
        return_dict_in_generate=True,
    )
    theirs = output.sequences[:, batch.inputs.ids.shape[1] :].tolist()
    best = torch.stack(output.logits, dim=1).topk(2).values
    hesitates = best[..., 0] - best[..., 1] < HESITATION
    ours = generate(case.model, batch.inputs, Sampling(max_new_tokens=NUM_NEW), stop_ids=frozenset())
    assert len({token_id for ids in theirs for token_id in ids}) > NUM_NEW  # no answer that any model would give
    for row, answer in enumerate(ours):
        until = next((step for step in range(NUM_NEW) if hesitates[row, step]), NUM_NEW)
        assert answer.ids[:until] == theirs[row][:until], f"row {row}"
    assert sum(answer.ids == ids for answer, ids in zip(ours, theirs, strict=True)) >= len(ours) - 1


def test_with_other_windows_it_fails(case: Case, batch: Batch) -> None:
    """Negative controls: seeing all, one token more, and the window in the other layer; with the cache and without."""
    window, layers, valid = case.shape.window, case.shape.sliding_layers, batch.inputs.valid
    assert window is not None
    others = [(None, ()), (window + 1, layers)]
    others += [(window, (1 - layers[0],))] if len(layers) == 1 else []
    for wrong in others:
        other = with_windows(case.model, *wrong)
        assert relative(our_logits(other, batch.inputs)[valid], case.theirs) > CONTROL, wrong
        assert relative(cached_logits(other, batch.inputs, [20, 21, 22])[valid], case.theirs) > CONTROL, wrong


def test_a_window_that_no_prompt_reaches_changes_nothing(case: Case, batch: Batch) -> None:
    wide, full = (with_windows(case.model, *windows) for windows in ((2000, (0, 1)), (None, ())))
    assert torch.equal(our_logits(wide, batch.inputs), our_logits(full, batch.inputs))


def test_a_window_of_one_token(tmp_path: Path) -> None:
    """The reference's forward alone: its cache of a window w keeps the last w - 1 as [-w + 1:], for 1 everything."""
    reference, model = model_pair(Shape(window=1, sliding_layers=(1,)), tmp_path)
    few = make_batch([(9,), (4, 0.3, 5)])
    theirs, valid = their_logits(reference, few), few.inputs.valid
    assert relative(our_logits(model, few.inputs)[valid], theirs) <= TOLERANCE
    assert relative(cached_logits(model, few.inputs, [5, 6, 7])[valid], theirs) <= TOLERANCE


def test_what_we_write_transformers_reads(case: Case, tmp_path: Path, batch: Batch) -> None:
    write_model(case.model, tmp_path)
    back = Qwen2AudioForConditionalGeneration.from_pretrained(tmp_path)
    if case.shape.tied:  # which transformers cannot do for this model by itself
        back.lm_head.weight = back.model.language_model.embed_tokens.weight
    assert torch.equal(their_logits(back, batch), case.theirs)


kinds = st.sampled_from(["full_attention", "sliding_attention"])
sparse = st.fixed_dictionaries(
    {},
    optional={
        "use_sliding_window": st.booleans(),
        "sliding_window": st.none() | st.integers(1, 40),
        "max_window_layers": st.integers(0, NUM_LAYERS + 1),
        "layer_types": st.none() | st.lists(kinds, min_size=NUM_LAYERS, max_size=NUM_LAYERS),
    },
)


@given(keys=sparse)
def test_the_keys_mean_what_they_mean_to_the_reference(keys: dict[str, Any]) -> None:
    """Any of the four keys left out or given; what the reference could not run is refused."""
    contents = config_to_json(config_from_json(SHAPES[0].config.to_dict()))
    contents["text_config"] = {"num_hidden_layers": NUM_LAYERS, "hidden_size": 32, "num_attention_heads": 4} | keys
    reference = Qwen2Config(**contents["text_config"])
    slides = [kind == "sliding_attention" for kind in reference.layer_types]
    if any(slides) and reference.sliding_window is None:
        with pytest.raises(UserError, match=r"layer_types has sliding layers, but use_sliding_window is"):
            config_from_json(contents)
        return
    config = config_from_json(contents)
    assert list(config.text.windows) == [reference.sliding_window if slide else None for slide in slides]
    assert config_from_json(config_to_json(config)) == config
