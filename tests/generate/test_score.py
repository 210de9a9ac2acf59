"""The score of given texts against one whole forward for each of them."""

from collections.abc import Callable

import pytest
import torch

from auricle import units
from auricle.audio import Mel
from auricle.generate import read, score
from auricle.model import ModelInput, Qwen2Audio
from auricle.prepare import Prepared, Prompt, collate

CONTINUATIONS = [[5, 6, 7], [5], [], [9, 8, 7, 6, 5, 4, 3, 2], [5, 6, 8], [300] * 5]


@pytest.fixture(
    scope="module", params=[{}, {"num_kv_heads": 4}, {"sliding_window": 4, "sliding_layers": (1,)}], ids=str
)
def model(request: pytest.FixtureRequest, tiny_model: Callable[..., Qwen2Audio]) -> Qwen2Audio:
    return tiny_model(seed=3, **request.param)


@pytest.fixture(scope="module")
def item(model: Qwen2Audio) -> Prepared:
    num_tokens = units.tokens_from_frames(70)
    ids = (1, 2, *[model.config.audio_token_id] * num_tokens, 3)
    features = torch.randn(16, units.kept_frames(70), generator=torch.Generator().manual_seed(0))
    return Prepared(Prompt(ids, (False,) * len(ids), ((2, 2 + num_tokens),)), (Mel(features, 70),))


def naive(model: Qwen2Audio, item: Prepared, said: list[int]) -> float:
    inputs = collate([item], pad_id=0)
    ids = torch.cat((inputs.ids, torch.tensor([said], dtype=torch.int64)), dim=1)
    whole = model(ModelInput(ids, torch.ones_like(ids, dtype=torch.bool), inputs.features, inputs.num_frames))[0]
    logprobs = whole[inputs.ids.shape[1] - 1 : -1].log_softmax(dim=-1)
    return sum(row[token_id].item() for row, token_id in zip(logprobs, said, strict=True))


@pytest.mark.parametrize("batch_size", [1, 2, 4, 100])
def test_it_is_the_sum_of_a_whole_forward(model: Qwen2Audio, item: Prepared, batch_size: int):
    got = score(model, read(model, collate([item], pad_id=0)), CONTINUATIONS, batch_size=batch_size)
    assert got == pytest.approx([naive(model, item, said) for said in CONTINUATIONS], abs=1e-3)
    assert got[2] == 0.0
    assert len(set(got)) == len(got)


def test_more_places_than_are_scored_at_once(model: Qwen2Audio, item: Prepared):
    """600 places in three parts."""
    said = torch.randint(1, 300, (3, 201), generator=torch.Generator().manual_seed(1)).tolist()
    got = score(model, read(model, collate([item], pad_id=0)), said, batch_size=3)
    assert got == pytest.approx([naive(model, item, one) for one in said], rel=1e-5)


def test_nothing_to_score(model: Qwen2Audio, item: Prepared):
    assert score(model, read(model, collate([item], pad_id=0)), [], batch_size=4) == []
    assert score(model, read(model, collate([item], pad_id=0)), [[], []], batch_size=4) == [0.0, 0.0]
