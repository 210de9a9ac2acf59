"""The decoding loop against the naive one: the whole forward again for every token."""

from collections.abc import Callable

import pytest
import torch

from auricle import units
from auricle.audio import Mel
from auricle.conversation import Sampling
from auricle.generate import generate, stream
from auricle.generate.loop import Generated
from auricle.model import ModelInput, Qwen2Audio
from auricle.prepare import Prepared, Prompt, collate

Make = Callable[..., Qwen2Audio]
NEVER: frozenset[int] = frozenset()
GREEDY = Sampling(max_new_tokens=10)


@pytest.fixture(scope="module")
def model(tiny_model: Make) -> Qwen2Audio:
    return tiny_model(seed=1)


@pytest.fixture(scope="module")
def items(model: Qwen2Audio) -> list[Prepared]:
    """Three prompts of unequal length: a short recording, text alone, a long and a short recording."""

    def prepared(text: tuple[int, ...], *num_frames: int) -> Prepared:
        ids, spans, mels = list(text), [], []
        for count in num_frames:
            num_tokens = units.tokens_from_frames(count)
            spans.append((len(ids), len(ids) + num_tokens))
            ids += [model.config.audio_token_id] * num_tokens + [7]
            generator = torch.Generator().manual_seed(count)
            mels.append(Mel(torch.randn(16, units.kept_frames(count), generator=generator), count))
        return Prepared(Prompt(tuple(ids), (False,) * len(ids), tuple(spans)), tuple(mels))

    return [prepared((1, 2, 3), 21), prepared((4, 5)), prepared((6, 2, 1, 9), 60, 13)]


def naive(model: Qwen2Audio, item: Prepared, num_tokens: int) -> tuple[list[int], list[float]]:
    inputs = collate([item], pad_id=0)
    ids, logprobs = [], []
    for _ in range(num_tokens):
        scores = model(inputs)[0, -1].log_softmax(dim=-1)
        ids.append(int(scores.argmax()))
        logprobs.append(scores.max().item())
        longer = torch.cat((inputs.ids, torch.tensor([[ids[-1]]])), dim=1)
        inputs = ModelInput(longer, torch.ones_like(longer, dtype=torch.bool), inputs.features, inputs.num_frames)
    return ids, logprobs


def run(model: Qwen2Audio, items: list[Prepared], sampling: Sampling, stop: frozenset[int] = NEVER) -> list[Generated]:
    return generate(model, collate(items, pad_id=0), sampling, stop_ids=stop)


@pytest.fixture(scope="module")
def free(model: Qwen2Audio, items: list[Prepared]) -> list[Generated]:
    """The three answers in one batch, nothing stopping them."""
    return run(model, items, GREEDY)


def test_greedy_is_the_naive_loop(model: Qwen2Audio, items: list[Prepared]):
    for item in items:
        ids, logprobs = naive(model, item, 10)
        [row] = run(model, [item], GREEDY)
        assert row.ids == ids
        assert row.logprob == pytest.approx(sum(logprobs), abs=1e-3)
        assert row.finish_reason == "length"


def test_answers_are_lively(free: list[Generated]):
    """Else every comparison here could hold for a model that always says one token."""
    assert len({tuple(row.ids) for row in free}) == 3
    assert all(len(set(row.ids)) > 3 for row in free)


def test_a_batch_never_changes_an_answer(model: Qwen2Audio, items: list[Prepared]):
    alone = [run(model, [item], GREEDY)[0] for item in items]
    for order in ([0, 1, 2], [1, 2, 0, 1]):
        together = run(model, [items[index] for index in order], GREEDY)
        assert [row.ids for row in together] == [alone[index].ids for index in order]
        assert [row.logprob for row in together] == pytest.approx([alone[i].logprob for i in order], abs=1e-3)


@pytest.mark.parametrize("place", [0, 2, 9])
def test_a_stop_id_ends_its_row_and_no_other(
    model: Qwen2Audio, items: list[Prepared], free: list[Generated], place: int
):
    stop_id = free[0].ids[place]
    stopped = run(model, items, GREEDY, frozenset({stop_id}))
    for before, after in zip(free, stopped, strict=True):
        if stop_id in before.ids:
            assert after.ids == before.ids[: before.ids.index(stop_id)]
            assert after.finish_reason == "stop"
        else:
            assert after.ids == before.ids
            assert after.finish_reason == "length"
            assert after.logprob == pytest.approx(before.logprob, abs=1e-3)


def test_logprob_includes_the_stop_token(model: Qwen2Audio, items: list[Prepared]):
    ids, logprobs = naive(model, items[0], 10)
    stop_id = ids[4]
    first = ids.index(stop_id)
    [row] = run(model, items[:1], GREEDY, frozenset({stop_id}))
    assert row.ids == ids[:first]
    assert row.logprob == pytest.approx(sum(logprobs[: first + 1]), abs=1e-3)


def test_rows_that_stop_at_different_steps(model: Qwen2Audio, items: list[Prepared], free: list[Generated]):
    stop = frozenset({free[0].ids[1], free[1].ids[5], free[2].ids[3]})
    alone = [run(model, [item], GREEDY, stop)[0] for item in items]
    together = run(model, items, GREEDY, stop)
    assert [row.ids for row in together] == [row.ids for row in alone]
    assert {row.finish_reason for row in together} == {"stop"}
    assert len({len(row.ids) for row in together}) > 1


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_max_new_tokens(model: Qwen2Audio, items: list[Prepared], free: list[Generated], limit: int):
    limited = run(model, items, Sampling(max_new_tokens=limit))
    assert [row.ids for row in limited] == [row.ids[:limit] for row in free]


def test_steps_are_the_answer_and_end_with_it(model: Qwen2Audio, items: list[Prepared], free: list[Generated]):
    stop = frozenset({free[0].ids[1], free[1].ids[5], free[2].ids[3]})
    steps = list(stream(model, collate(items, pad_id=0), GREEDY, stop_ids=stop))
    rows = run(model, items, GREEDY, stop)
    for index, row in enumerate(rows):
        said = [step.ids[index] for step in steps]
        spoken = said[: len(row.ids) + 1]
        assert spoken[:-1] == row.ids
        assert spoken[-1] in stop
        assert set(said[len(row.ids) + 1 :]) <= {None}
        assert [step.logprobs[index] is None for step in steps] == [token_id is None for token_id in said]
    assert len(steps) == max(len(row.ids) for row in rows) + 1


def test_sampling_repeats_with_its_seed(model: Qwen2Audio, items: list[Prepared]):
    def drawn(seed: int) -> list[list[int]]:
        return [row.ids for row in run(model, items, Sampling(temperature=1.0, max_new_tokens=8, seed=seed))]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_logprob_is_before_temperature(model: Qwen2Audio, items: list[Prepared]):
    sampling = Sampling(temperature=3.0, max_new_tokens=1, seed=0)
    [row] = run(model, items[:1], sampling)
    scores = model(collate(items[:1], pad_id=0))[0, -1].log_softmax(dim=-1)
    assert row.logprob == pytest.approx(scores[row.ids[0]].item(), abs=1e-4)


def test_the_caller_is_not_left_in_inference_mode(model: Qwen2Audio, items: list[Prepared]):
    for _ in stream(model, collate(items, pad_id=0), GREEDY, stop_ids=NEVER):
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()
