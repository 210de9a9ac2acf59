"""JSON that people wrote: reading it, showing a value of it, and the key that an unknown one was meant to be."""

import difflib
import json
from collections.abc import Iterable
from functools import lru_cache

from auricle.errors import UserError

_LONGEST = 60  # letters of a value that a message shows


def parse_json(text: str, where: str) -> object:
    """The value that a text holds.

    Raises:
        UserError: it is not JSON, or holds half a character, which no model reads.
    """
    try:
        value = json.loads(text)
        if "\\ud" in text.lower():  # such escapes come in pairs
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise UserError(
            f"{where}: {shown(text.strip())} is not JSON ({error.msg} at column {error.colno}); expected one object"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: this JSON cannot be read: {error}; expected one object of plain text") from None
    return value


def shown(value: object) -> str:
    """A value as JSON, its middle left out where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 3 :]}"


@lru_cache(maxsize=1024)
def nearest(name: str, known: tuple[str, ...]) -> str | None:
    """The known name with the same letters in another order, or with nearly the same."""
    for other in known:
        if sorted(name.lower()) == sorted(other):
            return other
    return next(iter(difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.85)), None)


def refuse_misspelt(unknown: Iterable[str], missing: tuple[str, ...], name: str) -> None:
    """Unknown keys are nobody's affair, except one that was meant to be a known key, which is missing.

    Raises:
        UserError: it is named with the nearest known one.
    """
    for key in unknown:
        near = nearest(key, missing)
        if near is not None:
            raise UserError(f"{name} has an unknown key `{key}`; did you mean `{near}`? Rename it, or take it away")
