"""What is wrong with one field of a request, in one sentence."""

import re
from collections.abc import Callable
from typing import Any

from auricle.serve.wire.schemas import TAG, shown

_PLACES = ("body", "query", "path", "header")  # where FastAPI found a field; clients need not be told
_TECHNICAL = ("Input should ", "Value should ", "String should ", "List should ", "Dictionary should ")


def describe_field(error: dict[str, Any]) -> dict[str, Any]:
    """One of pydantic's errors as `message`, `param` and `code` of an `ApiError`: what is wrong, got, expected."""
    place = place_of(tuple(error["loc"]))
    message, param, code = _SENTENCES.get(error["type"], _any)(place, error)
    return {"message": message, "param": param[:200] or None, "code": code}


def place_of(loc: tuple[int | str, ...]) -> str:
    """Where a field stands: ("body", "messages", 1, "=user", "content", 0) -> messages[1].content[0]."""
    place = ""
    for part in loc[1:] if loc and loc[0] in _PLACES else loc:
        if isinstance(part, int):
            place += f"[{part}]"
        elif not part.startswith(TAG):
            place += f".{part}" if place else part
    return place


_Described = tuple[str, str, str]


def _unknown(place: str, error: dict[str, Any]) -> _Described:
    name = error["ctx"]["name"]
    whole = f"{place}.{name}" if place else name
    return f"unknown field {shown(whole)}; {error['ctx']['hint']}", whole, "unknown_parameter"


def _missing(place: str, error: dict[str, Any]) -> _Described:
    return f"{place or 'the body'} is missing", place, "missing_required_parameter"


def _unsupported(place: str, error: dict[str, Any]) -> _Described:
    return f"{place} {error['msg']}", place, "unsupported_parameter"


def _no_tag(place: str, error: dict[str, Any]) -> _Described:
    given = error.get("input")
    if not isinstance(given, dict):
        return f"{place} is {shown(given)}, expected an object", place, "invalid_type"
    key = "role" if place.count(".") == 0 and place.endswith("]") else "type"  # messages[0] or what lies below
    return f"{place} has no {key}; say which it is", f"{place}.{key}", "missing_required_parameter"


def _other_tag(place: str, error: dict[str, Any]) -> _Described:
    expected = _alternatives(str(error["ctx"]["expected_tags"]).replace(TAG, ""))
    return f"{place} is of kind {shown(error['ctx']['tag'][1:])}, expected {expected}", place, "invalid_value"


def _other_literal(place: str, error: dict[str, Any]) -> _Described:
    kind = place.endswith(".type")
    place = place.removesuffix(".type")
    expected = _alternatives(error["ctx"]["expected"])
    said = f"is {'of kind ' if kind else ''}{shown(error.get('input'))}, expected {expected}"
    return f"{place} {said}", place, "invalid_value"


def _any(place: str, error: dict[str, Any]) -> _Described:
    said = error["msg"].removeprefix("Value error, ")
    for technical in _TECHNICAL:
        said = said.replace(technical, "should ")
    said = re.sub(" after validation, not .*", "", f"{said[:1].lower()}{said[1:]}")
    code = "invalid_type" if error["type"].endswith("_type") else "invalid_value"
    return f"{place or 'the body'} {said}: got {shown(error.get('input'))}", place, code


def _alternatives(quoted: str) -> str:
    """'a', 'b', 'c' -> 'a', 'b' or 'c'."""
    first, comma, last = quoted.rpartition(", ")
    return f"{first} or {last}" if comma else last


_SENTENCES: dict[str, Callable[[str, dict[str, Any]], _Described]] = {
    "unknown_field": _unknown,
    "missing": _missing,
    "unsupported": _unsupported,
    "union_tag_not_found": _no_tag,
    "union_tag_invalid": _other_tag,
    "literal_error": _other_literal,
}
