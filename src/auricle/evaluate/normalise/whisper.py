"""Whisper's two text normalisers as the published scripts carried them in 2024."""

import functools
from collections.abc import Callable

from auricle.errors import UserError

# whisper-normalizer added these four (0.1.0 has none of them, 0.1.11 has all); openai/whisper, up to release 20250625,
# which the published scripts copied, never had them.
_LATER_CONTRACTIONS = (r"\bkinda\b", r"\bsorta\b", r"\bdunno\b", r"\bcause\b")


def english(text: str) -> str:
    """Whisper's English normaliser: contractions, titles, number words, British spellings, fillers, diacritics.

    Symbols of currency and percent stay at their numbers.

    Raises:
        UserError: whisper-normalizer is not installed.
    """
    return _english_normaliser()(text)


def basic(text: str) -> str:
    """Whisper's normaliser for every other language; diacritics stay, letters are not split.

    Lower case; brackets go with what is in them; NFKC; marks, symbols and punctuation become spaces.

    Raises:
        UserError: whisper-normalizer is not installed.
    """
    return _basic_normaliser()(text)


@functools.cache
def _english_normaliser() -> Callable[[str], str]:
    try:
        from whisper_normalizer.english import EnglishTextNormalizer
    except ImportError as error:
        raise _missing() from error
    normaliser = EnglishTextNormalizer()
    for pattern in _LATER_CONTRACTIONS:
        normaliser.replacers.pop(pattern, None)
    return normaliser


@functools.cache
def _basic_normaliser() -> Callable[[str], str]:
    try:
        from whisper_normalizer.basic import BasicTextNormalizer
    except ImportError as error:
        raise _missing() from error
    return BasicTextNormalizer()


def _missing() -> UserError:
    return UserError("scoring needs whisper-normalizer: install it with pip install 'auricle[eval]'")
