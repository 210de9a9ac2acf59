"""What all descriptions of requests share: nothing is guessed, nothing unknown is passed over."""

import difflib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

TAG = "="  # begins the names of a union's branches, which are no part of a field's place


class Strict(BaseModel):
    """An object of a request: "1" is no number, NaN is none either, and an unknown field is refused."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _require_known(cls, value: Any) -> Any:
        """Pydantic forbids what is unknown; this names the field that may have been meant."""
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for name in value if isinstance(value, dict) else ():
            if name not in known:
                near = difflib.get_close_matches(str(name)[:80], known, n=1)
                hint = f"did you mean {near[0]}?" if near else "leave it out"
                raise PydanticCustomError(
                    "unknown_field", "unknown field {name}; {hint}", {"name": str(name)[:80], "hint": hint}
                )
        return value


class Given(BaseModel):
    """An object of an answer."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Neutral:
    """A field that OpenAI knows and this server does not: only values that change nothing are taken, and null."""

    def __init__(self, *values: Any) -> None:
        self._values = values

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Anything, of which most is refused."""
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The values taken."""
        return {"enum": [*self._values, None]}

    def _check(self, value: Any) -> Any:
        if value is None or any(_same(value, neutral) for neutral in self._values):
            return value
        expected = " or ".join([*map(json.dumps, self._values), "nothing"])
        raise PydanticCustomError(
            "unsupported",
            "is not supported: got {got}, expected {expected}",
            {"got": shown(value), "expected": expected},
        )


def tag_of_type(value: Any) -> str | None:
    """The branch of a union that an object's `type` names."""
    return _tag(value, "type")


def tag_of_role(value: Any) -> str | None:
    """The branch of a union that a message's `role` names."""
    return _tag(value, "role")


def tag_of_content(value: Any) -> str:
    """Text, or a list of parts."""
    return f"{TAG}list" if isinstance(value, list) else f"{TAG}text"


def shown(value: Any) -> str:
    """A value as a sentence names it, at most 80 characters."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, dict | list) and value:
        return f"{'an object' if isinstance(value, dict) else 'an array'} of {len(value)}"
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else f"{value[:60]}...")
    text = repr(value) if not isinstance(value, int) or abs(value) < 2**64 else "a huge number"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _tag(value: Any, key: str) -> str | None:
    tag = value.get(key) if isinstance(value, Mapping) else getattr(value, key, None)
    return f"{TAG}{tag}" if isinstance(tag, str) else None


def _same(value: Any, neutral: Any) -> bool:
    """Equal, where true is not 1."""
    return isinstance(value, bool) == isinstance(neutral, bool) and bool(value == neutral)
