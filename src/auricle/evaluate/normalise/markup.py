"""Tags such as `<|en|>` in references and answers."""

import re

TAG = re.compile(r"<\|.*?\|>")
_SPACED_MARK = re.compile(r" ?([!,.?;:])")


def remove_markup(text: str, language: str | None) -> str:
    """The published `remove_sp`: what it does to a text before any normaliser.

    Tags become spaces, white space becomes one space, one space before any of `!,.?;:` goes, then those at the
    start. Mandarin loses all its white space here; Cantonese does not.
    """
    text = re.sub(r"\s+", " ", TAG.sub(" ", text))
    text = _SPACED_MARK.sub(r"\1", text).lstrip(" ")
    return re.sub(r"\s+", "", text) if language == "zh" else text
