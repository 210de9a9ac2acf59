"""Branches: one prompt read once, many answers, each what generate says at its place."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from auricle import units
from auricle.audio import Mel, Waveform
from auricle.conversation import Audio, Message, Sampling
from auricle.engines import NativeEngine, Request
from auricle.errors import UserError
from auricle.generate import branch, generate
from auricle.model import ModelInput, Qwen2Audio
from auricle.prepare import Prepared, Prompt, collate
from auricle.text import Tokenizer
from auricle.weights import Checkpoint

STOP = frozenset(range(100, 130))
DRAWN = Sampling(temperature=1.0, seed=3, max_new_tokens=12)


@pytest.fixture(scope="module")
def model(tiny_model: Callable[..., Qwen2Audio]) -> Qwen2Audio:
    return tiny_model(seed=4)


@pytest.fixture(scope="module")
def inputs(model: Qwen2Audio) -> ModelInput:
    """One prompt with one recording."""
    num_tokens = units.tokens_from_frames(40)
    ids = (5, 9, *[model.config.audio_token_id] * num_tokens, 11, 2)
    mel = Mel(torch.randn(16, units.kept_frames(40), generator=torch.Generator().manual_seed(0)), 40)
    return collate([Prepared(Prompt(ids, (False,) * len(ids), ((2, 2 + num_tokens),)), (mel,))], pad_id=0)


@pytest.mark.parametrize(
    "sampling",
    [
        DRAWN,
        replace(DRAWN, top_k=20, top_p=0.9, repetition_penalty=1.3, min_new_tokens=3),
        Sampling(max_new_tokens=12, repetition_penalty=1.2),
    ],
    ids=["drawn", "filtered", "greedy"],
)
@pytest.mark.parametrize("indices", [None, (7, 3, 11, 0, 2, 5, 4, 1)], ids=["from 0", "given"])
def test_branches_are_separate_answers(
    model: Qwen2Audio, inputs: ModelInput, sampling: Sampling, indices: tuple[int, ...] | None
):
    rows = branch(model, inputs, sampling, 8, stop_ids=STOP, indices=indices)
    for place, row in enumerate(rows):
        index = place if indices is None else indices[place]
        [alone] = generate(model, inputs, sampling, stop_ids=STOP, indices=[index])
        assert row.ids == alone.ids
        assert row.finish_reason == alone.finish_reason
        assert row.logprob == pytest.approx(alone.logprob, abs=1e-3)
    assert len({tuple(row.ids) for row in rows}) == (1 if sampling.temperature == 0 else 8)
    if sampling.temperature:
        assert len({len(row.ids) for row in rows}) > 1  # branches end at different steps, the others go on


def test_stop_texts_end_branches(model: Qwen2Audio, inputs: ModelInput, tokenizer: Tokenizer):
    free = branch(model, inputs, DRAWN, 4, stop_ids=frozenset())
    stop = tokenizer.decode(free[2].ids)[2:4]
    rows = branch(model, inputs, replace(DRAWN, stop=(stop,)), 4, stop_ids=frozenset(), tokenizer=tokenizer)
    assert rows[2].finish_reason == "stop"
    assert len(rows[2].ids) < 12


def test_the_prompt_is_read_once(model: Qwen2Audio, inputs: ModelInput, monkeypatch: pytest.MonkeyPatch):
    """Eight branches: one pass of the encoder, one of the decoder over the prompt, then one token a branch."""
    encoded: list[int] = []
    decoded: list[tuple[int, ...]] = []
    encode, decode = Qwen2Audio.encode, Qwen2Audio.decode

    def watch_encode(self: Qwen2Audio, features: torch.Tensor, num_frames: torch.Tensor) -> torch.Tensor:
        encoded.append(len(features))
        return encode(self, features, num_frames)

    def watch_decode(self: Qwen2Audio, embeddings: torch.Tensor, *rest: object) -> torch.Tensor:
        decoded.append(tuple(embeddings.shape[:2]))
        return decode(self, embeddings, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Qwen2Audio, "encode", watch_encode)
    monkeypatch.setattr(Qwen2Audio, "decode", watch_decode)
    branch(model, inputs, DRAWN, 8, stop_ids=frozenset())
    assert encoded == [1]
    assert decoded == [(1, inputs.ids.shape[1]), *[(8, 1)] * 11]


def test_what_branch_refuses(model: Qwen2Audio, inputs: ModelInput):
    two = ModelInput(inputs.ids.repeat(2, 1), inputs.valid.repeat(2, 1), inputs.features, inputs.num_frames)
    with pytest.raises(ValueError, match="one prompt, got 2"):
        branch(model, two, DRAWN, 2, stop_ids=STOP)
    with pytest.raises(ValueError, match="got 2 beams"):
        branch(model, inputs, Sampling(num_beams=2), 2, stop_ids=STOP)


def test_the_engines_branches_are_its_answers(checkpoint: Checkpoint, noise: Callable[..., np.ndarray]):
    engine = NativeEngine(checkpoint)
    request = Request((Message("user", (Audio(), "What is said?")),), (Waveform(noise(0.4)),))
    branches = engine.branch(request, replace(DRAWN, logprobs=1), 5)
    copies = list(engine.generate([request] * 5, replace(DRAWN, logprobs=1)))
    assert [one.text for one in branches] == [one.text for one in copies]
    assert [one.num_tokens for one in branches] == [one.num_tokens for one in copies]
    assert [one.num_prompt_tokens for one in branches] == [one.num_prompt_tokens for one in copies]
    assert all(len(one.tokens) == one.num_tokens for one in branches)
    assert len({one.text for one in branches}) == 5
    with pytest.raises(UserError, match="prompt too long"):
        engine.branch(request, replace(DRAWN, max_new_tokens=5000), 2)
