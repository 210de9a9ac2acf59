"""The decoding loop against the naive one: the whole forward again for every token."""

from collections.abc import Callable

import pytest
import torch

from auricle import units
from auricle.audio import Mel
from auricle.conversation import Sampling
from auricle.generate import Generated, generate, stream
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
        said = [token for step in steps if (token := step[index]) is not None]
        assert said[:-1] == row.tokens
        assert said[-1].id in stop
        assert [token.ends for token in said] == [False] * len(row.ids) + [True]
        assert [step[index] is None for step in steps] == [place > len(row.ids) for place in range(len(steps))]
    assert len(steps) == max(len(row.ids) for row in rows) + 1


def test_sampling_repeats_with_its_seed(model: Qwen2Audio, items: list[Prepared]):
    def drawn(seed: int | None) -> list[list[int]]:
        return [row.ids for row in run(model, items, Sampling(temperature=1.0, max_new_tokens=8, seed=seed))]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert drawn(None) != drawn(None)


def test_a_drawn_answer_depends_on_its_index_and_on_no_other_row(model: Qwen2Audio, items: list[Prepared]):
    """Alone, in another order, beside rows that end early: only the index counts."""
    sampling = Sampling(temperature=1.5, top_k=50, repetition_penalty=1.2, max_new_tokens=9, seed=3)
    together = run(model, items, sampling)
    stop = frozenset({together[0].ids[2]}) - set(together[2].ids)
    for index, item in enumerate(items):
        [alone] = generate(model, collate([item], pad_id=0), sampling, stop_ids=NEVER, indices=[index])
        assert alone.ids == together[index].ids
        [other] = generate(model, collate([item], pad_id=0), sampling, stop_ids=NEVER, indices=[index + 7])
        assert other.ids != alone.ids
    swapped = generate(model, collate(items[::-1], pad_id=0), sampling, stop_ids=stop, indices=[2, 1, 0])
    assert stop
    assert swapped[0].ids == together[2].ids
    assert swapped[2].ids == together[0].ids[:2]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_alternatives_are_the_models_own(model: Qwen2Audio, items: list[Prepared], temperature: float):
    """Log-probabilities are those of the bare forward, whatever the settings; nothing is reported unasked."""
    sampling = Sampling(
        temperature=temperature, repetition_penalty=1.5, top_k=5, logprobs=3, max_new_tokens=6, seed=0, min_new_tokens=6
    )
    for item, row in zip(items, run(model, items, sampling, frozenset({3})), strict=True):
        inputs = collate([item], pad_id=0)
        said = model.language_model.model.embed_tokens(torch.tensor([row.ids]))
        embeddings = torch.cat((model.embed(inputs), said), dim=1)
        places = torch.arange(embeddings.shape[1])[None]
        hidden = model.decode(embeddings, places, torch.ones_like(places, dtype=torch.bool), None)
        expected = model.logits(hidden)[0, -len(row.ids) - 1 : -1].log_softmax(dim=-1)
        for token, logprobs in zip(row.tokens, expected, strict=True):
            assert token.logprob == pytest.approx(logprobs[token.id].item(), abs=1e-4)
            assert [token_id for token_id, _ in token.top] == logprobs.topk(3).indices.tolist()
            assert [p for _, p in token.top] == pytest.approx(logprobs.topk(3).values.tolist(), abs=1e-4)
        assert row.logprob == pytest.approx(sum(token.logprob for token in row.tokens))
    for none in (None, 0):
        rows = run(model, items, Sampling(max_new_tokens=2, logprobs=none))
        assert all(token.top == () for row in rows for token in row.tokens)


@pytest.mark.parametrize("settings", [{}, {"num_beams": 3}], ids=["greedy", "beams"])
def test_a_growing_cache_changes_nothing(
    model: Qwen2Audio, items: list[Prepared], settings: dict[str, int], monkeypatch: pytest.MonkeyPatch
):
    sampling = Sampling(max_new_tokens=140, min_new_tokens=140, **settings)  # type: ignore[arg-type]
    grown = run(model, items, sampling)
    monkeypatch.setattr("auricle.generate.running.ROOM_TOKENS", 200)
    at_once = run(model, items, sampling)
    assert [row.tokens for row in grown] == [row.tokens for row in at_once]
    assert {len(row.tokens) for row in grown} == {140}


def test_beams_cannot_be_streamed_by_the_token(model: Qwen2Audio, items: list[Prepared]):
    with pytest.raises(ValueError, match="2 beams have no token until the end"):
        next(stream(model, collate(items, pad_id=0), Sampling(num_beams=2), stop_ids=NEVER))


def test_logprob_is_before_temperature(model: Qwen2Audio, items: list[Prepared]):
    sampling = Sampling(temperature=3.0, max_new_tokens=1, seed=0)
    [row] = run(model, items[:1], sampling)
    scores = model(collate(items[:1], pad_id=0))[0, -1].log_softmax(dim=-1)
    assert row.logprob == pytest.approx(scores[row.ids[0]].item(), abs=1e-4)


def test_the_caller_is_not_left_in_inference_mode(model: Qwen2Audio, items: list[Prepared]):
    for _ in stream(model, collate(items, pad_id=0), GREEDY, stop_ids=NEVER):
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()
