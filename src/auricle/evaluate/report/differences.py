"""Reference and answer side by side, word by word."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from auricle.evaluate.normalise.interface import Pair
from auricle.metrics import alignment

Kind = Literal["equal", "replace", "insert", "delete"]
_LONGEST_PHRASE = 8
_FEWEST_TIMES = 3  # that a phrase is added before it is shown once, with how often


@dataclass(frozen=True, slots=True)
class Difference:
    """One place of an alignment; a deletion has no answer, an insertion no reference.

    times: a model that got stuck says the same again and again; its words are shown once.
    """

    kind: Kind
    reference: str
    answer: str
    times: int = 1


def differences(pair: Pair, joint: str = " ") -> tuple[Difference, ...]:
    """The fewest substitutions, insertions and deletions that turn the reference into the answer, in order.

    Added words that say one phrase at least three times running are one place. joint: between its words.
    """
    found: list[Difference] = []
    for kind, places in groupby(alignment(pair.reference, pair.answer), key=lambda place: place[0]):
        if kind == "insert":
            found += _folded([answer for _, _, answer in places], joint)
        else:
            found += [Difference(*place) for place in places]
    return tuple(found)


def _folded(words: Sequence[str], joint: str) -> list[Difference]:
    """Insertions with repeated phrases shown once; of several, the one that covers most, then the shortest."""
    found, at = list[Difference](), 0
    while at < len(words):
        repeats = [(times * length, -length, times) for length, times in _repeats(words, at)]
        covered, length, times = max(repeats, default=(1, -1, 1))
        found.append(Difference("insert", "", joint.join(words[at : at - length]), times))
        at += covered
    return found


def _repeats(words: Sequence[str], at: int) -> Iterator[tuple[int, int]]:
    """(length, times) of every phrase that starts here and is said often enough running."""
    for length in range(1, _LONGEST_PHRASE + 1):
        phrase, times = words[at : at + length], 1
        while words[at + times * length : at + (times + 1) * length] == phrase:
            times += 1
        if times >= _FEWEST_TIMES:
            yield length, times
