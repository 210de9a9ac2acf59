"""Choosing one token: each step against a loop over one row, the draws against the distribution they promise."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from auricle.conversation import Sampling
from auricle.errors import UserError
from auricle.generate import Sampler
from auricle.generate.sampler import bar, draw, likeliest, near_best, nucleus, penalise_repetition, uniforms
from auricle.model import ModelInput

NEVER: frozenset[int] = frozenset()
NUM_DRAWS = 10_000
logits = st.lists(st.integers(-6, 6), min_size=1, max_size=12)  # few values: ties are common


def prompts(*rows: list[int]) -> ModelInput:
    longest = max(map(len, rows))
    ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
    valid = torch.tensor([[place >= longest - len(row) for place in range(longest)] for row in rows])
    return ModelInput(ids, valid, torch.zeros(0, 0, 0), torch.zeros(0, dtype=torch.int64))


def sampler(sampling: Sampling, *rows: list[int], stop_ids: frozenset[int] = NEVER) -> Sampler:
    return Sampler(sampling, prompts(*rows), stop_ids=stop_ids, indices=range(len(rows)))


def finite(row: torch.Tensor) -> list[int]:
    return row.isfinite().nonzero()[:, 0].tolist()


@given(row=logits, seen=st.lists(st.integers(0, 11), min_size=1), penalty=st.sampled_from([0.5, 1.0, 1.5, 3.0]))
def test_repetition_penalty_by_loop(row: list[int], seen: list[int], penalty: float):
    seen = [token_id % len(row) for token_id in seen]
    expected = [s * penalty if s < 0 else s / penalty for s in row]
    expected = [new if i in seen else old for i, (old, new) in enumerate(zip(row, expected, strict=True))]
    got = penalise_repetition(torch.tensor([row], dtype=torch.float32), torch.tensor([seen]), penalty)
    assert got[0].tolist() == pytest.approx(expected)


@given(row=logits, top_k=st.integers(1, 15))
def test_likeliest_by_loop(row: list[int], top_k: int):
    """As good as the k-th best is good enough."""
    last = sorted(row, reverse=True)[: min(top_k, len(row))][-1]
    kept, ids = likeliest(torch.tensor([row], dtype=torch.float32), top_k)
    assert ids[0].tolist() == [i for i, score in enumerate(row) if score >= last]
    assert kept[0].tolist() == [score for score in row if score >= last]


def test_likeliest_fills_rows_with_fewer_ties():
    kept, ids = likeliest(torch.tensor([[3.0, 1.0, 2.0, 1.0], [4.0, 3.0, 2.0, 1.0]]), 3)
    assert kept.tolist() == [[3, 1, 2, 1], [4, 3, 2, -math.inf]]
    assert ids.tolist() == [[0, 1, 2, 3], [0, 1, 2, 3]]


def nucleus_by_loop(row: list[float], top_p: float) -> set[int]:
    """From the likeliest on; of equals the last comes first."""
    total, mass, kept = sum(map(math.exp, row)), 0.0, set()
    for index in sorted(range(len(row)), key=lambda i: (-row[i], -i)):
        if mass >= top_p:
            break
        kept.add(index)
        mass += math.exp(row[index]) / total
    return kept


@given(row=logits, top_p=st.floats(0.01, 0.999))
def test_nucleus_is_the_smallest_set_that_reaches_top_p(row: list[int], top_p: float):
    scores = torch.tensor([row], dtype=torch.float64)
    reached = scores.softmax(dim=-1).sort(descending=True).values.cumsum(dim=-1)
    if (reached - top_p).abs().min() > 1e-9:  # at an exact tie rounding may fall either way
        assert set(finite(nucleus(scores, top_p)[0])) == nucleus_by_loop(row, top_p)


def test_the_likeliest_token_is_in_every_nucleus():
    """Also where 1 - top_p rounds to 1, which the probabilities of a large vocabulary may not exceed."""
    scores = torch.randn(64, 1000, generator=torch.Generator().manual_seed(0))
    kept = nucleus(scores, 1e-9)
    assert kept.isfinite().sum(dim=-1).eq(1).all()
    assert kept.argmax(dim=-1).equal(scores.argmax(dim=-1))


@given(row=logits, min_p=st.floats(0.001, 0.999))
def test_near_best_by_loop(row: list[int], min_p: float):
    ratios = [math.exp(score - max(row)) for score in row]
    if min(abs(ratio - min_p) for ratio in ratios) > 1e-9:
        got = near_best(torch.tensor([row], dtype=torch.float64), min_p)
        assert finite(got[0]) == [i for i, ratio in enumerate(ratios) if ratio >= min_p]


@given(weights=st.lists(st.integers(0, 5), min_size=1, max_size=9).filter(any), uniform=st.floats(0, 1 - 2**-53))
def test_draw_by_loop(weights: list[int], uniform: float):
    """The first token whose running sum exceeds the number; tokens without weight are never drawn."""
    scores = torch.tensor([weights], dtype=torch.float64).log()
    [place] = draw(scores, torch.tensor([uniform], dtype=torch.float64)).tolist()
    below, above = sum(weights[:place]) / sum(weights), sum(weights[: place + 1]) / sum(weights)
    assert weights[place] > 0
    assert below - 1e-12 <= uniform <= above + 1e-12


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
def test_draw_at_the_ends(uniform: float):
    scores = torch.tensor([[-math.inf, 0.3, -math.inf, 0.1, -math.inf]])
    assert draw(scores, torch.tensor([uniform], dtype=torch.float64)).tolist() == [1 if uniform == 0 else 3]


def test_worked_examples():
    assert penalise_repetition(torch.tensor([[2.0, -2.0, 1.0]]), torch.tensor([[0, 1]]), 2).tolist() == [[1, -4, 1]]
    assert bar(torch.tensor([[2.0, -2.0, 1.0]]), torch.tensor([0])).tolist() == [[-math.inf, -2, 1]]
    assert [part.tolist() for part in likeliest(torch.tensor([[3.0, 1.0, 2.0, 1.0]]), 2)] == [[[3, 2]], [[0, 2]]]
    scores = torch.tensor([[0.5, 0.3, 0.2]]).log()
    assert finite(nucleus(scores, 0.6)[0]) == [0, 1]
    assert finite(near_best(scores, 0.5)[0]) == [0, 1]
    assert draw(scores, torch.tensor([0.79], dtype=torch.float64)).tolist() == [1]


LOGITS = torch.tensor([1.0, 0.0, 2.0, -1.0, 1.5, 0.0, -0.5, 2.0])


def drawn(sampling: Sampling) -> list[int]:
    """How often each token comes, one draw for each of many rows."""
    chosen = sampler(sampling, *[[3]] * NUM_DRAWS).choose(LOGITS.expand(NUM_DRAWS, -1))
    return chosen.bincount(minlength=len(LOGITS)).tolist()


def expected(sampling: Sampling) -> list[float]:
    """The distribution by loops over one row, in the order that Sampling tells."""
    row = LOGITS.tolist()
    row[3] = row[3] * sampling.repetition_penalty if row[3] < 0 else row[3] / sampling.repetition_penalty
    row = [score / sampling.temperature for score in row]
    last = sorted(row, reverse=True)[(sampling.top_k or len(row)) - 1]
    row = [score if score >= last else -math.inf for score in row]
    kept = nucleus_by_loop(row, sampling.top_p) if sampling.top_p < 1 else range(len(row))
    row = [score if i in kept else -math.inf for i, score in enumerate(row)]
    weights = [math.exp(score - max(row)) for score in row]
    weights = [weight if weight >= sampling.min_p else 0.0 for weight in weights]
    return [weight / sum(weights) for weight in weights]


def fits(counts: list[int], probabilities: list[float]) -> bool:
    """Pearson's chi-square test at the 0.1 % level; a token that cannot be drawn may not be drawn once."""
    possible = [(n, p) for n, p in zip(counts, probabilities, strict=True) if p > 0]
    if sum(n for n, _ in possible) < sum(counts):
        return False
    statistic = sum((n - p * sum(counts)) ** 2 / (p * sum(counts)) for n, p in possible)
    freedom = torch.tensor((len(possible) - 1) / 2)
    return len(possible) == 1 or torch.special.gammaincc(freedom, torch.tensor(statistic / 2)).item() > 1e-3


SETTINGS = [
    Sampling(temperature=1.0, seed=1),
    Sampling(temperature=0.6, seed=1),
    Sampling(temperature=2.0, repetition_penalty=3.0, seed=1),
    Sampling(temperature=1.0, top_k=3, seed=1),
    Sampling(temperature=1.0, top_k=6, seed=1),  # the sixth and the seventh are equals
    Sampling(temperature=1.0, top_p=0.8, seed=1),
    Sampling(temperature=1.3, min_p=0.2, seed=1),
    Sampling(temperature=0.7, top_k=5, top_p=0.8, min_p=0.1, repetition_penalty=1.1, seed=1),
]


@pytest.mark.parametrize("sampling", SETTINGS, ids=range(len(SETTINGS)))
def test_draws_follow_the_distribution_of_the_settings_and_of_no_other(sampling: Sampling):
    """Pairs of settings that mean the same distribution do not occur in the list, so each must refute the others."""
    counts = drawn(sampling)
    assert [fits(counts, expected(other)) for other in SETTINGS] == [other is sampling for other in SETTINGS]


def test_a_repeated_step_is_a_new_draw():
    """The draws of one row's steps are as independent as those of rows."""
    one = sampler(Sampling(temperature=1.0, max_new_tokens=NUM_DRAWS, seed=4), [3])
    counts = torch.cat([one.choose(LOGITS[None]) for _ in range(NUM_DRAWS)]).bincount(minlength=8).tolist()
    assert fits(counts, expected(SETTINGS[0]))


@pytest.mark.parametrize(
    "sampling", [Sampling(), Sampling(temperature=1e-6, seed=0), Sampling(temperature=0, top_p=0.5)]
)
def test_no_temperature_takes_the_likeliest(sampling: Sampling):
    assert sampler(sampling, [0]).choose(torch.tensor([[0.0, 1.0, 2.0, -1.0]])).tolist() == [2]


def test_repetition_penalty_sees_prompt_and_answer_but_no_padding():
    """Padding is id 0 here: its score must stay, in the row that has padding as in the one without."""
    chooser = sampler(Sampling(repetition_penalty=2.0, max_new_tokens=4), [1, 1, 2], [3])
    scores = torch.tensor([[1.0, 1.9, 1.8, 0.8, 0.7]] * 2)
    assert chooser.choose(scores).tolist() == [0, 1]  # 1 and 2 are halved in the first row alone
    assert chooser.choose(scores).tolist() == [1, 2]  # 0.95 beats 0.9; 1 is halved in the second row now
    assert chooser.choose(scores).tolist() == [1, 0]


def test_stop_ids_are_barred_before_min_new_tokens():
    chooser = sampler(Sampling(min_new_tokens=2, max_new_tokens=4), [1], stop_ids=frozenset({0, 2}))
    scores = torch.tensor([[4.0, 1.0, 3.0, 2.0]])
    assert [chooser.choose(scores).item() for _ in range(4)] == [3, 3, 0, 0]


def test_the_scores_given_are_left_as_they_are():
    sampling = Sampling(temperature=0.5, top_p=0.5, min_p=0.1, repetition_penalty=2.0, min_new_tokens=1, seed=0)
    scores = LOGITS[None].clone()
    sampler(sampling, [2], stop_ids=frozenset({1})).choose(scores)
    assert scores.equal(LOGITS[None])


def test_a_rows_numbers_come_from_seed_and_index_alone():
    table = uniforms(7, [0, 1, 2, 3], 6)
    assert uniforms(7, [2], 6).equal(table[2:3])
    assert uniforms(7, [3, 0], 6).equal(table[[3, 0]])
    assert uniforms(7, [1], 3).equal(table[1:2, :3])
    assert len(set(uniforms(8, [0, 1, 2, 3], 6).flatten().tolist()) & set(table.flatten().tolist())) == 0
    assert len(set(table.flatten().tolist())) == 24
    assert not uniforms(None, [0], 6).equal(uniforms(None, [0], 6))
    assert uniforms(-1, [0], 6).equal(uniforms(-1, [0], 6))


def test_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    free = torch.rand(4)
    torch.manual_seed(3)
    drawn(SETTINGS[0])
    sampler(Sampling(temperature=1.0), [3]).choose(LOGITS[None])
    assert torch.rand(4).equal(free)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"temperature": -0.1}, "temperature must not be negative: got -0.1"),
        ({"temperature": float("nan")}, "temperature must not be negative: got nan"),
        ({"top_k": -1}, "top_k must not be negative: got -1"),
        ({"top_p": 0.0}, r"top_p must lie in \(0, 1\]: got 0.0"),
        ({"top_p": 1.1}, r"top_p must lie in \(0, 1\]: got 1.1"),
        ({"top_p": float("nan")}, r"top_p must lie in \(0, 1\]: got nan"),
        ({"min_p": 1.0}, r"min_p must lie in \[0, 1\): got 1.0"),
        ({"repetition_penalty": 0.0}, "repetition_penalty must be above 0: got 0.0"),
        ({"num_beams": 0}, "num_beams must be at least 1: got 0"),
        ({"num_beams": 2, "temperature": 1.0}, "beam search does not sample: got num_beams 2 and temperature 1.0"),
        ({"length_penalty": float("inf")}, "length_penalty must be finite: got inf; 1 is usual"),
        ({"stop": ("a", "")}, "stop holds an empty text"),
        ({"min_new_tokens": -1}, "min_new_tokens must not be negative: got -1; 0 asks for none"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1: got 0"),
        ({"min_new_tokens": 9, "max_new_tokens": 8}, "min_new_tokens 9 exceeds max_new_tokens 8"),
        ({"logprobs": 21}, "logprobs must lie in 0 to 20: got 21"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float], sentence: str):
    with pytest.raises(UserError, match=sentence):
        Sampling(**wrong)  # type: ignore[arg-type]
