"""Beam search: ids and scores of transformers, penalties, several stop ids and left padding included."""

from collections import Counter
from dataclasses import dataclass, replace

import pytest
import torch
from transformers import Qwen2AudioForConditionalGeneration

from auricle.conversation import Sampling
from auricle.generate import generate
from auricle.generate.beam import search
from auricle.model import Qwen2Audio
from auricle.prepare import collate

from .reference import PAD_ID, SHAPES, Batch, Row, make_batch, model_pair

pytestmark = pytest.mark.parity

# At most one recording a prompt: with more, transformers 5.23 repeats recordings, not prompts, for the beams, which
# then hear each other's. And few of them: it encodes 30 s for each beam.
ROWS: list[Row] = [(4, 0.3, 5), (1, 1.2, 3), *((1 + 5 * i % 13,) for i in range(14))]
NEVER: frozenset[int] = frozenset()
TOLERANCE = 1e-5  # of scores, relative


@dataclass(frozen=True)
class Pair:
    reference: Qwen2AudioForConditionalGeneration
    model: Qwen2Audio
    batch: Batch


@pytest.fixture(scope="module", params=[SHAPES[0], SHAPES[1]], ids=["GQA", "MHA"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    reference, model = model_pair(request.param, tmp_path_factory.mktemp("beam"))
    return Pair(reference, model, make_batch(ROWS))


def theirs(pair: Pair, sampling: Sampling, stop_ids: frozenset[int]) -> list[tuple[list[int], float]]:
    """Each row's ids, a stop id included, and its score."""
    output = pair.reference.generate(
        **pair.batch.theirs,
        do_sample=False,
        num_beams=sampling.num_beams,
        length_penalty=sampling.length_penalty,
        repetition_penalty=sampling.repetition_penalty,
        min_new_tokens=sampling.min_new_tokens or None,
        max_new_tokens=sampling.max_new_tokens,
        early_stopping=False,
        eos_token_id=sorted(stop_ids) or None,
        pad_token_id=PAD_ID,
        output_scores=True,
        return_dict_in_generate=True,
    )
    rows = output.sequences[:, pair.batch.inputs.ids.shape[1] :].tolist()
    lengths = [next((i + 1 for i, token_id in enumerate(row) if token_id in stop_ids), len(row)) for row in rows]
    scores = output.sequences_scores.tolist()
    return [(row[:n], score) for row, n, score in zip(rows, lengths, scores, strict=True)]


def ours(pair: Pair, sampling: Sampling, stop_ids: frozenset[int]) -> list[tuple[list[int], float]]:
    found = search(pair.model, pair.batch.inputs, sampling, stop_ids=stop_ids)
    return [([token.id for token in best.tokens()], score) for score, best in found]


def assert_equal(pair: Pair, sampling: Sampling, stop_ids: frozenset[int]) -> list[list[int]]:
    expected, got = theirs(pair, sampling, stop_ids), ours(pair, sampling, stop_ids)
    assert [score for _, score in got] == pytest.approx([score for _, score in expected], rel=TOLERANCE)
    assert [ids for ids, _ in got] == [ids for ids, _ in expected]
    return [ids for ids, _ in got]


@pytest.fixture(scope="module")
def stops(pair: Pair) -> frozenset[int]:
    """Three ids that the freely running beams say in few rows, so that beams end at different steps or not at all."""
    free = [ids for ids, _ in theirs(pair, Sampling(num_beams=4, max_new_tokens=14), NEVER)]
    num_rows = Counter(token_id for ids in free for token_id in set(ids[4:]))
    return frozenset(token_id for token_id, _ in num_rows.most_common()[-3:])


@pytest.mark.parametrize(("num_beams", "length_penalty"), [(2, 0.0), (2, 2.0), (4, 0.5), (4, -1.0), (5, 1.0)])
def test_with_stop_ids(pair: Pair, stops: frozenset[int], num_beams: int, length_penalty: float) -> None:
    sampling = Sampling(num_beams=num_beams, length_penalty=length_penalty, max_new_tokens=14)
    lengths = {len(ids) for ids in assert_equal(pair, sampling, stops)}
    assert len(lengths) > 1 or length_penalty > 1  # which all answers are too short for


def test_with_one_stop_id_and_without_any(pair: Pair, stops: frozenset[int]) -> None:
    for stop_ids in (frozenset({min(stops)}), NEVER):
        assert_equal(pair, Sampling(num_beams=5, max_new_tokens=10), stop_ids)


@pytest.mark.parametrize("same", [True, False])
def test_two_recordings_in_a_prompt(pair: Pair, same: bool) -> None:
    """Equal where both are the same sound; where they are not, transformers gives a beam the recordings of another."""
    batch = make_batch([(3, 0.4, 2, 0.4, 6)], seed=2)
    ours_heard, theirs_heard = batch.inputs.features, batch.theirs["input_features"]
    if same:
        ours_heard, theirs_heard = (heard[:1].expand_as(heard) for heard in (ours_heard, theirs_heard))
    inputs = replace(batch.inputs, features=ours_heard)
    two = replace(pair, batch=replace(batch, inputs=inputs, theirs=batch.theirs | {"input_features": theirs_heard}))
    sampling = Sampling(num_beams=3, max_new_tokens=10)
    assert (ours(two, sampling, NEVER)[0][0] == theirs(two, sampling, NEVER)[0][0]) is same


def test_with_many_stop_ids(pair: Pair) -> None:
    """Most of the likeliest continuations end: there are still enough candidates for those that go on."""
    sampling = Sampling(num_beams=4, length_penalty=3.0, max_new_tokens=10)
    assert len({len(ids) for ids in assert_equal(pair, sampling, frozenset(range(0, 90, 2)))}) > 2


@pytest.mark.parametrize(
    "settings",
    [{"repetition_penalty": 1.3}, {"min_new_tokens": 9}, {"repetition_penalty": 0.8, "min_new_tokens": 4}],
    ids=str,
)
def test_with_penalties(pair: Pair, stops: frozenset[int], settings: dict[str, float]) -> None:
    """The repetition penalty falls on log-probabilities here, and padding is no token that was said."""
    sampling = Sampling(num_beams=4, max_new_tokens=14, **settings)  # type: ignore[arg-type]
    found = assert_equal(pair, sampling, stops)
    assert found != [ids for ids, _ in ours(pair, Sampling(num_beams=4, max_new_tokens=14), stops)]
    assert all(len(ids) > sampling.min_new_tokens for ids in found)


def test_it_is_neither_greedy_nor_another_length_penalty(pair: Pair, stops: frozenset[int]) -> None:
    """Negative control: other settings give other answers and scores, so that the comparisons above can fail."""
    expected = theirs(pair, Sampling(num_beams=4, max_new_tokens=14), stops)
    wrong = ours(pair, Sampling(num_beams=4, length_penalty=2.0, max_new_tokens=14), stops)
    assert [ids for ids, _ in wrong] != [ids for ids, _ in expected]
    assert [score for _, score in wrong] != pytest.approx([score for _, score in expected], rel=TOLERANCE)
    greedy = generate(pair.model, pair.batch.inputs, Sampling(max_new_tokens=14), stop_ids=stops)
    assert [row.ids for row in greedy] != [[i for i in ids if i not in stops] for ids, _ in expected]


def test_a_batch_never_changes_an_answer(pair: Pair, stops: frozenset[int]) -> None:
    sampling = Sampling(num_beams=4, max_new_tokens=14)
    together = generate(pair.model, pair.batch.inputs, sampling, stop_ids=stops)
    for item, row in zip(pair.batch.prepared, together, strict=True):
        [alone] = generate(pair.model, collate([item], pad_id=PAD_ID), sampling, stop_ids=stops)
        assert alone.ids == row.ids
        assert alone.logprob == pytest.approx(row.logprob, abs=1e-3)


@pytest.mark.parametrize("repetition_penalty", [1.0, 1.4])
def test_logprob_is_the_models_own(pair: Pair, stops: frozenset[int], repetition_penalty: float) -> None:
    """Every chosen token's log-probability and alternatives are those of one forward over the whole answer."""
    sampling = Sampling(num_beams=4, max_new_tokens=14, repetition_penalty=repetition_penalty, logprobs=3)
    found = search(pair.model, pair.batch.inputs, sampling, stop_ids=stops)
    rows = generate(pair.model, pair.batch.inputs, sampling, stop_ids=stops)
    for item, (_, best), row in zip(pair.batch.prepared, found, rows, strict=True):
        tokens = best.tokens()
        inputs = collate([item], pad_id=PAD_ID)
        said = torch.tensor([[token.id for token in tokens]])
        embeddings = torch.cat((pair.model.embed(inputs), pair.model.language_model.model.embed_tokens(said)), dim=1)
        places = torch.arange(embeddings.shape[1])[None]
        whole = pair.model.logits(pair.model.decode(embeddings, places, torch.ones_like(places).bool(), None))[0]
        expected = whole[-len(tokens) - 1 : -1].log_softmax(dim=-1)
        for token, logprobs in zip(tokens, expected, strict=True):
            assert token.logprob == pytest.approx(logprobs[token.id].item(), abs=1e-4)
            assert [i for i, _ in token.top] == logprobs.topk(3).indices.tolist()
            assert [p for _, p in token.top] == pytest.approx(logprobs.topk(3).values.tolist(), abs=1e-4)
        assert row.logprob == pytest.approx(sum(token.logprob for token in tokens), abs=1e-6)
        assert row.tokens == [token for token in tokens if token.id not in stops]
        assert row.finish_reason == ("stop" if tokens[-1].id in stops else "length")
