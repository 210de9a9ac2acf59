"""Of several answers the pair that is kept, and why there is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.train.judges import TOLERANCES, Verdict
from auricle.train.pairing import Drawn, Pair, pair


def drawn(text: str, ended: bool = True, num_tokens: int | None = None, **scores: float) -> Drawn:
    return Drawn(
        text, len(text) if num_tokens is None else num_tokens, ended, {n: Verdict(s, "") for n, s in scores.items()}
    )


def found(answers: list[Drawn], margin: float = 0.1, length_tolerance: float | None = None) -> tuple[int, int] | str:
    result = pair(answers, margin=margin, length_tolerance=length_tolerance)
    return (result.chosen, result.rejected) if isinstance(result, Pair) else result


def test_the_best_and_the_worst_make_the_pair():
    answers = [drawn(text, factual=score) for text, score in (("a", 0.5), ("b", 0.9), ("c", 0.1), ("d", 0.4))]
    assert found(answers) == (1, 2)


def test_the_earlier_dimension_decides():
    """b is far more helpful, but a is right: the pair is a over b, and not b over a."""
    answers = [drawn("a", factual=0.9, helpfulness=0.0), drawn("b", factual=0.5, helpfulness=1.0)]
    assert found(answers) == (0, 1)
    alike = [drawn("a", factual=0.9, helpfulness=0.0), drawn("b", factual=0.9, helpfulness=1.0)]
    assert found(alike) == (1, 0)


def test_of_equals_the_largest_sum():
    answers = [drawn("a", factual=1.0, brevity=0.2), drawn("b", factual=1.0, brevity=1.0), drawn("c", factual=0.0)]
    answers.append(drawn("d", factual=0.0, brevity=0.0))
    assert found(answers) == (1, 3)


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([drawn("a", factual=1.0), drawn("A!", factual=1.0)], "all answers alike"),
        ([drawn("a", ended=False, factual=1.0), drawn("b", ended=False, factual=0.0)], "no answer ended"),
        ([drawn("a", factual=1.0), drawn("b", factual=0.99)], "no difference that counts"),
        ([drawn("a", factual=1.0), drawn("b", factual=0.92)], "margin too small"),
        ([drawn("a", factual=1.0), drawn("b" * 9, factual=0.0)], "no two of like length"),
        ([drawn("a", ended=False, factual=1.0), drawn("b", factual=0.0)], "no difference that counts"),
    ],
)
def test_why_there_is_no_pair(answers: list[Drawn], why: str):
    assert found(answers, length_tolerance=0.2) == why


def test_length_matched_pairs():
    answers = [drawn("a" * n, factual=score) for n, score in ((10, 1.0), (30, 0.0), (11, 0.6), (9, 0.5))]
    assert found(answers) == (0, 1)
    assert found(answers, length_tolerance=0.15) == (0, 3)
    assert found(answers, length_tolerance=0.0, margin=0.0) == "no two of like length"


_SCORES = st.fixed_dictionaries({name: st.sampled_from((0.0, 0.3, 0.5, 0.52, 1.0)) for name in TOLERANCES})


@given(
    scores=st.lists(st.tuples(_SCORES, st.booleans(), st.sampled_from("abc")), max_size=6),
    margin=st.sampled_from((0.0, 0.1, 0.6)),
)
def test_every_pair_that_is_kept_deserves_it(scores: list[tuple[dict[str, float], bool, str]], margin: float):
    answers = [drawn(text, ended, **of_one) for of_one, ended, text in scores]
    result = pair(answers, margin=margin)
    if not isinstance(result, Pair):
        return
    chosen, rejected = answers[result.chosen], answers[result.rejected]
    assert chosen.ended
    assert chosen.text != rejected.text
    for dimension, tolerance in TOLERANCES.items():
        difference = chosen.verdicts[dimension].score - rejected.verdicts[dimension].score
        if dimension == result.decision.dimension:
            assert difference == result.decision.margin >= margin
            break
        assert abs(difference) <= tolerance
