"""Of several answers to one prompt, the pair that teaches most: the best and the worst, told apart for a reason."""

from collections.abc import Sequence
from dataclasses import dataclass

from auricle.data.preferences import plain
from auricle.train.judges import TOLERANCES, Decision, Verdicts, decide

# What a preference manifest calls each dimension: fluency and brevity are ways of being helpful.
NAMED = {dimension: dimension for dimension in ("factual", "instruction", "safety", "helpfulness")} | {
    "fluency": "helpfulness",
    "brevity": "helpfulness",
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """An answer that was drawn. ended: of itself, not at the limit of tokens."""

    text: str
    num_tokens: int
    ended: bool
    verdicts: Verdicts


@dataclass(frozen=True, slots=True)
class Pair:
    """Places of the preferred and the rejected answer, and what tells them apart."""

    chosen: int
    rejected: int
    decision: Decision


def pair(answers: Sequence[Drawn], *, margin: float, length_tolerance: float | None = None) -> Pair | str:
    """The pair that the first dimension in the judges' order tells apart the furthest, or why there is none.

    Of equals, the pair with the largest sum of all margins. An answer that did not end is never preferred.

    Args:
        answers: to one prompt, judged.
        margin: the least that the deciding dimension must tell them apart by.
        length_tolerance: the most that their tokens may differ by, as a share of the longer; None for any.
    """
    if not any(answer.ended for answer in answers):
        return "no answer ended"
    if len({plain(answer.text) for answer in answers}) < 2:
        return "all answers alike"
    matched = [
        (one, other)
        for one, chosen in enumerate(answers)
        for other, rejected in enumerate(answers)
        if chosen.ended and plain(chosen.text) != plain(rejected.text) and _matched(chosen, rejected, length_tolerance)
    ]
    if not matched:
        return "no two of like length"
    pairs = []
    for one, other in matched:
        decision = decide(answers[one].verdicts, answers[other].verdicts)
        if decision is not None and decision.margin > 0:
            pairs.append(Pair(one, other, decision))
    if not pairs:
        return "no difference that counts"
    best = max(pairs, key=lambda found: _rank(found, answers))
    return best if best.decision.margin >= margin else "margin too small"


def _rank(found: Pair, answers: Sequence[Drawn]) -> tuple[float, float, float]:
    chosen, rejected = answers[found.chosen].verdicts, answers[found.rejected].verdicts
    total = sum(chosen[name].score - rejected[name].score for name in chosen if name in rejected)
    return -list(TOLERANCES).index(found.decision.dimension), found.decision.margin, total


def _matched(one: Drawn, other: Drawn, tolerance: float | None) -> bool:
    lengths = one.num_tokens, other.num_tokens
    return tolerance is None or abs(lengths[0] - lengths[1]) <= tolerance * max(lengths)
