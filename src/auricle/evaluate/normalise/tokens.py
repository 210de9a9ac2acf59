"""The last step of the published scripts: a normalised text into the units that are compared."""

import unicodedata

BY_CHARACTER = frozenset({"zh", "yue"})  # the languages whose published error rates count characters


def tokens(text: str, language: str | None) -> tuple[str, ...]:
    """Words, lower case, without those made only of punctuation; of Chinese languages the single characters.

    That is fairseq's EvaluationTokenizer with tokenizer "none", then `split()`. Latin letters within Chinese count one
    by one.
    """
    kept = " ".join(word for word in text.split(" ") if not _is_punctuation(word))
    words = kept.lower().split()
    return tuple("".join(words)) if language in BY_CHARACTER else tuple(words)


def _is_punctuation(word: str) -> bool:
    return all(unicodedata.category(char).startswith("P") for char in word)
