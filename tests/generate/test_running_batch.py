"""The running batch against the naive loop: the whole forward again for every token of every row."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from auricle import units
from auricle.audio import Mel
from auricle.conversation import Sampling
from auricle.generate import Generated, Prefix, RunningBatch, Said, Sampler, Token, cut_at_stop, read, read_on
from auricle.model import ModelInput, Qwen2Audio, RunningCache
from auricle.prepare import Prepared, Prompt, collate
from auricle.text import Tokenizer

Make = Callable[..., Qwen2Audio]
STOP = frozenset(range(100, 115))
SAMPLINGS = (
    Sampling(max_new_tokens=7),
    Sampling(max_new_tokens=1),
    Sampling(max_new_tokens=9, min_new_tokens=6, logprobs=2),
    Sampling(max_new_tokens=8, repetition_penalty=1.4, logprobs=4),
    Sampling(max_new_tokens=9, temperature=1.2, top_k=40, top_p=0.9, seed=5),
    Sampling(max_new_tokens=9, stop=("e", "th")),
)
SHAPES: dict[str, dict[str, Any]] = {
    "GQA": {},
    "MHA": {"num_kv_heads": 4, "tied_head": True},
    "sliding": {"sliding_window": 4, "sliding_layers": (1,)},
}


def prompt(index: int, audio_token_id: int) -> Prepared:
    """1 to 9 tokens around each of 0, 1 or 3 recordings."""
    generator = torch.Generator().manual_seed(index)

    def draw(low: int, high: int, num: int = 1) -> list[int]:
        return torch.randint(low, high, (num,), generator=generator).tolist()

    ids, mels, spans = draw(1, 300, draw(1, 10)[0]), [], []
    for _ in range((0, 1, 3)[index % 3]):
        [num_frames] = draw(5, 60)
        mels.append(Mel(torch.randn(16, units.kept_frames(num_frames), generator=generator), num_frames))
        spans.append((len(ids), len(ids) + units.tokens_from_frames(num_frames)))
        ids += [audio_token_id] * units.tokens_from_frames(num_frames) + draw(1, 300, draw(1, 10)[0])
    return Prepared(Prompt(tuple(ids), (False,) * len(ids), tuple(spans)), tuple(mels))


class Oracle:
    """What each prompt's answer is alone, without a cache."""

    def __init__(self, model: Qwen2Audio, tokenizer: Tokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.items = [prompt(index, model.config.audio_token_id) for index in range(6)]
        self.answer = cache(self._answer)

    def _answer(self, place: int, sampling: Sampling, index: int) -> Generated:
        inputs = collate([self.items[place]], pad_id=0)
        sampler = Sampler(sampling, inputs, stop_ids=STOP, indices=[index])
        row, ids = Generated(), []
        while len(ids) < sampling.max_new_tokens and row.finish_reason == "length":
            longer = torch.cat((inputs.ids, torch.tensor([ids], dtype=torch.int64)), dim=1)
            whole = ModelInput(longer, torch.ones_like(longer, dtype=torch.bool), inputs.features, inputs.num_frames)
            logits = self.model(whole)[:, -1]
            ids.append(int(sampler.choose(logits)))
            logprobs = logits[0].log_softmax(dim=-1)
            text = self.tokenizer.decode(ids)
            ends = ids[-1] in STOP or cut_at_stop(text, sampling.stop) != text
            best = logprobs.topk(sampling.logprobs or 0)
            top = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
            row.add(Token(ids[-1], logprobs[ids[-1]].item(), ends, top), STOP)
        return row


def assert_same(said: Generated, alone: Generated) -> None:
    assert said.ids == alone.ids
    assert said.finish_reason == alone.finish_reason
    assert said.logprob == pytest.approx(alone.logprob, abs=1e-3)
    for one, other in zip(said.tokens, alone.tokens, strict=True):
        assert [token for token, _ in one.top] == [token for token, _ in other.top]
        assert [p for _, p in one.top] == pytest.approx([p for _, p in other.top], abs=1e-3)


@pytest.fixture(scope="module", params=SHAPES)
def oracle(request: pytest.FixtureRequest, tiny_model: Make, tokenizer: Tokenizer) -> Oracle:
    return Oracle(tiny_model(seed=9, **SHAPES[request.param]), tokenizer)


class Machine(RuleBasedStateMachine):
    """Rows join, speak and are dropped in any order; whatever is said is what the row says alone."""

    oracle: Oracle

    def __init__(self) -> None:
        super().__init__()
        self.batch = RunningBatch(self.oracle.model, stop_ids=STOP, tokenizer=self.oracle.tokenizer)
        self.alone: dict[int, Generated] = {}
        self.said: dict[int, Generated] = {}

    @rule(
        places=st.lists(st.integers(0, 5), min_size=1, max_size=3),
        sampling=st.sampled_from(SAMPLINGS),
        index=st.integers(0, 2),
    )
    @precondition(lambda self: len(self.said) < 12)
    def join(self, places: list[int], sampling: Sampling, index: int) -> None:
        inputs = collate([self.oracle.items[place] for place in places], pad_id=0)
        indices = [index + number for number in range(len(places))]
        said = self.batch.join(read(self.oracle.model, inputs), sampling, indices)
        for one, place, number in zip(said, places, indices, strict=True):
            self.alone[one.row] = self.oracle.answer(place, sampling, number)
            self.said[one.row] = Generated()
        self.hear(said)

    @rule()
    def step(self) -> None:
        said = self.batch.step()
        assert {one.row for one in said} == set(self.said)
        self.hear(said)

    @rule(data=st.data())
    @precondition(lambda self: self.said)
    def drop(self, data: st.DataObject) -> None:
        rows = data.draw(st.lists(st.sampled_from(sorted(self.said)), unique=True))
        self.batch.drop([*rows, 10_000])
        for row in rows:
            del self.said[row]

    @invariant()
    def lengths_are_those_of_the_rows_that_go_on(self) -> None:
        assert len(self.batch.lengths) == len(self.said)

    def hear(self, said: list[Said]) -> None:
        for row, token, last in said:
            self.said[row].add(token, STOP)
            if last:
                assert_same(self.said.pop(row), self.alone[row])
            else:
                so_far, alone = self.said[row].ids, self.alone[row].ids
                assert so_far == alone[: len(so_far)]


def test_rows_that_come_and_go_say_what_they_say_alone(oracle: Oracle):
    machine = type("OfThisModel", (Machine,), {"oracle": oracle})
    few = settings(max_examples=5, stateful_step_count=25, deadline=None, derandomize=True, database=None)
    run_state_machine_as_test(machine, settings=few)


@pytest.mark.parametrize("broken", ["length", "order", "sampler"])
def test_the_machine_notices(broken: str, oracle: Oracle, monkeypatch: pytest.MonkeyPatch):
    """Negative controls: a place off by one, rows mistaken for each other, a sampler that keeps the wrong rows."""
    keep = RunningCache.keep
    if broken == "length":
        seen = RunningCache._seen
        monkeypatch.setattr(RunningCache, "_seen", lambda self, place_R, window: seen(self, place_R - 1, window))
    elif broken == "order":
        monkeypatch.setattr(RunningCache, "keep", lambda self, rows: sorted(keep(self, rows)))
    else:
        monkeypatch.setattr(Sampler, "keep", lambda self, rows: None)
    batch = RunningBatch(oracle.model, stop_ids=STOP, tokenizer=oracle.tokenizer)
    sampling = replace(SAMPLINGS[4], max_new_tokens=12)
    inputs = collate([oracle.items[place] for place in range(5)], pad_id=0)
    rows = [Generated() for _ in range(5)]
    said = batch.join(read(oracle.model, inputs), sampling, range(5))
    batch.drop([0])

    def go_on(said: list[Said]) -> None:
        while said:
            for row, token, _ in said:
                rows[row].add(token, STOP)
            said = batch.step()
        for place in range(1, 5):
            assert_same(rows[place], oracle.answer(place, sampling, place))

    with pytest.raises((AssertionError, RuntimeError, IndexError)):
        go_on(said)


def test_greedy_rows_need_no_sampler_of_their_own(oracle: Oracle, monkeypatch: pytest.MonkeyPatch):
    """However many join one by one: one argmax a step."""
    monkeypatch.setattr(Sampler, "choose", None)
    batch = RunningBatch(oracle.model, stop_ids=STOP, tokenizer=oracle.tokenizer)
    for item in oracle.items:
        batch.join(read(oracle.model, collate([item], pad_id=0)), SAMPLINGS[0], [0])
    while batch.step():
        pass
    assert batch.lengths == []


def test_beams_do_not_run(oracle: Oracle):
    batch = RunningBatch(oracle.model, stop_ids=STOP)
    with pytest.raises(ValueError, match="2 beams have no token until the end"):
        batch.join(read(oracle.model, collate(oracle.items[:1], pad_id=0)), Sampling(num_beams=2), [0])


@pytest.mark.parametrize("place", [1, 2])
@pytest.mark.parametrize("share", [1, 3])
def test_a_prompt_is_read_on_from_what_a_row_kept(oracle: Oracle, place: int, share: int):
    """A prefix up to any place outside a recording: the rest of the prompt alone, with the recordings in it."""
    item, model = oracle.items[place], oracle.model
    batch = RunningBatch(model, stop_ids=STOP)
    [said] = batch.join(read(model, collate([item], pad_id=0)), Sampling(max_new_tokens=4), [0])
    layers = batch.kept(said.row)
    spans = item.prompt.audio_spans
    num = spans[0][0] if share == 1 else spans[-1][1]
    after = [mel for mel, (start, _) in zip(item.mels, spans, strict=True) if start >= num]
    with torch.inference_mode():
        heard = [model.encode(mel.features[None], torch.tensor([mel.num_frames])) for mel in after]
        audio = torch.cat([torch.zeros(0, model.config.text.width), *heard])
    prefilled = read_on(model, item.prompt.ids, audio, Prefix(layers, num))
    whole = read(model, collate([item], pad_id=0))
    torch.testing.assert_close(prefilled.logits, whole.logits, atol=1e-4, rtol=1e-4)
    wrong = Prefix([(keys.flip(1), values) for keys, values in layers], num)
    assert (read_on(model, item.prompt.ids, audio, wrong).logits - whole.logits).abs().max() > 1e-3


def resumed(oracle: Oracle, sampling: Sampling, index: int, said: list[int]) -> Generated:
    """What follows when the prompt is read again together with what was said to it."""
    ids, row = (*oracle.items[0].prompt.ids, *said), Generated()
    batch = RunningBatch(oracle.model, stop_ids=STOP, tokenizer=oracle.tokenizer)
    prompt = read(oracle.model, collate([Prepared(Prompt(ids, (False,) * len(ids), ()), ())], pad_id=0))
    next_ones = batch.join(prompt, sampling, [index], said=said)
    while next_ones:
        [(_, token, _)] = next_ones
        row.add(token, STOP)
        next_ones = batch.step()
    return row


@pytest.mark.parametrize("sampling", SAMPLINGS[2:])
def test_an_answer_that_paused_goes_on_as_if_it_had_not(oracle: Oracle, sampling: Sampling):
    alone = oracle.answer(0, sampling, 3)
    for num_said in range(1, len(alone.ids)):
        row = resumed(oracle, sampling, 3, alone.ids[:num_said])
        assert row.ids == alone.ids[num_said:]
        assert row.finish_reason == alone.finish_reason


def test_a_stop_text_is_found_around_a_pause(oracle: Oracle):
    alone = oracle.answer(0, Sampling(max_new_tokens=9, min_new_tokens=9), 0)
    stop = oracle.tokenizer.decode(alone.ids[2:4])
    sampling = Sampling(max_new_tokens=9, min_new_tokens=9, stop=(stop,))
    whole = resumed(oracle, sampling, 0, [])
    assert whole.finish_reason == "stop"
    row = resumed(oracle, sampling, 0, whole.ids[:3])
    assert (row.ids, row.finish_reason) == (whole.ids[3:], "stop")
