"""Choosing one token: the nucleus against a loop, temperature against the distribution it promises."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from auricle.conversation import Sampling
from auricle.errors import UserError
from auricle.generate import Sampler
from auricle.generate.sampler import nucleus

CPU = torch.device("cpu")
scores = st.lists(st.integers(1, 1000), min_size=1, max_size=12, unique=True)


def nucleus_by_loop(probabilities: list[float], top_p: float) -> list[float]:
    kept, mass = [0.0] * len(probabilities), 0.0
    for index in sorted(range(len(probabilities)), key=lambda i: -probabilities[i]):
        if mass >= top_p:
            break
        kept[index] = probabilities[index]
        mass += probabilities[index]
    return kept


@given(weights=scores, top_p=st.floats(0.01, 1.0))
def test_nucleus_is_the_smallest_set_that_reaches_top_p(weights: list[int], top_p: float):
    probabilities = torch.tensor([weights], dtype=torch.float64)
    probabilities /= probabilities.sum()
    reached = probabilities.sort(descending=True).values.cumsum(dim=-1)
    if (reached - top_p).abs().min() > 1e-9:  # at an exact tie rounding may fall either way
        assert nucleus(probabilities, top_p).tolist() == [nucleus_by_loop(probabilities[0].tolist(), top_p)]


def test_nucleus_by_hand():
    probabilities = torch.tensor([[0.2, 0.5, 0.3], [0.9, 0.06, 0.04]])
    assert nucleus(probabilities, 0.6).gt(0).tolist() == [[False, True, True], [True, False, False]]
    assert nucleus(probabilities, 1e-6).gt(0).sum(dim=1).tolist() == [1, 1]
    assert nucleus(probabilities, 1.0).equal(probabilities)


LOGITS = torch.tensor([[0.0, 1.0, 2.0, -1.0]]).expand(20_000, 4)


def shares(sampling: Sampling) -> torch.Tensor:
    return Sampler(sampling, CPU).choose(LOGITS).bincount(minlength=4) / len(LOGITS)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_divides_the_scores(temperature: float):
    expected = (LOGITS[0] / temperature).softmax(dim=-1)
    torch.testing.assert_close(shares(Sampling(temperature=temperature, seed=0)), expected, atol=0.015, rtol=0)


def test_what_is_left_of_the_nucleus_shares_by_probability():
    expected = LOGITS[0].softmax(dim=-1)  # 0.09, 0.24, 0.64, 0.03
    expected = expected * torch.tensor([0, 1, 1, 0])
    torch.testing.assert_close(
        shares(Sampling(temperature=1.0, top_p=0.7, seed=0)), expected / expected.sum(), atol=0.015, rtol=0
    )


@pytest.mark.parametrize(
    "sampling", [Sampling(), Sampling(temperature=1e-6, seed=0), Sampling(temperature=0, top_p=0.5)]
)
def test_no_temperature_takes_the_likeliest(sampling: Sampling):
    assert shares(sampling).tolist() == [0, 0, 1, 0]


def test_seeds():
    def drawn(seed: int | None) -> list[int]:
        return Sampler(Sampling(temperature=1.0, seed=seed), CPU).choose(LOGITS[:50]).tolist()

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert drawn(None) != drawn(None)


def test_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    Sampler(Sampling(temperature=1.0, seed=9), CPU).choose(LOGITS)
    Sampler(Sampling(temperature=1.0), CPU).choose(LOGITS)
    assert torch.rand(4).equal(expected)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"temperature": -0.1}, "temperature must not be negative: got -0.1"),
        ({"temperature": float("nan")}, "temperature must not be negative: got nan"),
        ({"top_p": 0.0}, r"top_p must lie in \(0, 1\]: got 0.0"),
        ({"top_p": 1.1}, r"top_p must lie in \(0, 1\]: got 1.1"),
        ({"top_p": float("nan")}, r"top_p must lie in \(0, 1\]: got nan"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1: got 0"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float], sentence: str):
    with pytest.raises(UserError, match=sentence):
        Sampling(**wrong)  # type: ignore[arg-type]
