"""Words of growing speech that will not be taken back: those that two hypotheses in a row agree on.

LocalAgreement-2 (Liu, Spanakis and Niehues, 2020, arXiv:2005.11185), as whisper_streaming uses it.
"""

import re
from collections.abc import Sequence
from itertools import takewhile

_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"  # kana and Han: a word each, for want of spaces
_WORD = re.compile(rf"\s*(?:[{_IDEOGRAPHS}]|[^\s{_IDEOGRAPHS}]+)")


class Agreement:
    """Hypotheses of one stretch of speech, each of more of it than the one before, in; text to append out."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._last: list[str] = []

    @property
    def text(self) -> str:
        """All that was said so far."""
        return "".join(self._said)

    def hear(self, hypothesis: str) -> str:
        """What can be appended to `text` now: whole words, with the space before them, or nothing.

        Where both hypotheses disagree with what was said already, it stays, and the new words are those after its
        likeliest place in them.
        """
        words = _words(hypothesis)
        agreed = _common(words, self._last)
        self._last = words
        return self._say(agreed[_end_of(self._said, agreed) :])

    def finish(self, text: str) -> str:
        """What makes `text` of what was said; nothing where that was something else."""
        words = _words(text)
        num_said = len(self._said)
        return self._say(words[num_said:]) if _common(words, self._said) == words[:num_said] else ""

    def _say(self, words: Sequence[str]) -> str:
        self._said += words
        return "".join(words)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.strip())


def _common(words: Sequence[str], others: Sequence[str]) -> list[str]:
    """The words before the first that differs."""
    pairs = takewhile(lambda pair: pair[0].strip() == pair[1].strip(), zip(words, others, strict=False))
    return [word for word, _ in pairs]


def _end_of(said: Sequence[str], agreed: Sequence[str]) -> int:
    """So many words of `agreed` are likest to `said` (fewest words changed, added or left out); the most of them."""
    costs = list(range(len(agreed) + 1))
    for row, word in enumerate(said, start=1):
        before, costs[0] = costs[0], row
        for column, other in enumerate(agreed, start=1):
            changed = before + (word.strip() != other.strip())
            before, costs[column] = costs[column], min(changed, costs[column] + 1, costs[column - 1] + 1)
    return max(range(len(costs)), key=lambda column: (-costs[column], column))
