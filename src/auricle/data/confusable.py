"""Plausible mishearings of a text: one of its words for another that sounds alike."""

import difflib
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

import numpy as np

# English minimal pairs: one sound apart. Each stands for both directions.
PAIRS = """
ship sheep, bit beat, sit seat, fill feel, live leave, hit heat, rich reach, slip sleep, list least, still steel,
pen pan, bed bad, men man, said sad, then than, end and, left laughed, send sand, head had, guess gas, cut cat, hut hat,
cup cap, fun fan, ran run, hot hat, cop cup, walk work, ward word, form farm, cord card, bowl ball, low law,
coat caught, boat bought, want won't, can can't, pull pool, full fool, look luck, could good, light right,
lead read, lace race,
glass grass, fly fry, collect correct, lock rock, long wrong, alive arrive, play pray, west vest, wet vet, wine vine,
three tree, thin tin, thank tank, thought taught, think sink, path pass, mouth mouse, they day, those doze, cap cab,
back bag, rope robe, cold gold, came game, clue glue, time dime, town down, try dry, train drain, pie buy, pear bear,
pack back, peach beach, cheap jeep, chin shin, watch wash, sip zip, price prize, ice eyes, loose lose, bus buzz,
fan van, few view, safe save, leaf leave, sun sung, thin thing, ran rang, win wing, some sum, mail nail, might night,
map nap, moon noon, he she, in on, is was, this these, his her, your our, fifteen fifty, thirteen thirty,
fourteen forty, sixteen sixty, seventeen seventy, eighteen eighty, nineteen ninety, five nine, six sixth, first thirst
"""
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_COMMONEST = 5000  # words of the corpus that others may be misheard as
_FEWEST_LETTERS = 4  # of a word that is compared by its spelling
_ALIKE = 0.75  # difflib's ratio


class Confusable:
    """Words and what they are misheard as: the pairs above, and words of the corpus that are spelt nearly alike.

    Args:
        texts: the corpus; in any language whose spelling follows its sound somewhat.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._pairs: dict[str, list[str]] = {}
        for pair in PAIRS.split(","):
            one, other = pair.split()
            self._pairs.setdefault(one, []).append(other)
            self._pairs.setdefault(other, []).append(one)
        counts = Counter(word.lower() for text in texts for word in _WORD.findall(text))
        self._by_start: dict[str, list[str]] = {}
        for word, _ in counts.most_common(_COMMONEST):
            self._by_start.setdefault(word[0], []).append(word)
        self.others = cache(self._others)

    def mishear(self, text: str, rng: np.random.Generator) -> str | None:
        """The text with one word misheard; None where no word has another that sounds alike."""
        places = [found for found in _WORD.finditer(text) if self.others(found[0].lower())]
        if not places:
            return None
        place = places[rng.integers(len(places))]
        other = str(rng.choice(self.others(place[0].lower())))
        return text[: place.start()] + _cased(other, place[0]) + text[place.end() :]

    def _others(self, word: str) -> tuple[str, ...]:
        """What a word may be misheard as."""
        known = self._pairs.get(word, [])
        if known or len(word) < _FEWEST_LETTERS:
            return tuple(known)
        near = [
            other for other in self._by_start.get(word[0], []) if abs(len(other) - len(word)) <= 1 and other != word
        ]
        return tuple(difflib.get_close_matches(word, near, n=3, cutoff=_ALIKE))


def _cased(word: str, like: str) -> str:
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word[0].upper() + word[1:] if like[0].isupper() else word
