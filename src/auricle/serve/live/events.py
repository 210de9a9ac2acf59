"""Events of OpenAI's Realtime API as dictionaries: what comes in is read, what goes out gets its id."""

import base64
import binascii
import json
import math
import secrets
from typing import Any

from auricle.serve.wire.errors import ApiError

Event = dict[str, Any]
_MOST_CHARACTERS = 200  # of what a client sent, in a message about it


def new_id(kind: str) -> str:
    """Such as item_0123456789abcdef0123."""
    return f"{kind}_{secrets.token_hex(10)}"


def event(kind: str, fields: Event) -> Event:
    """One event for the client."""
    return {"type": kind, "event_id": new_id("event"), **fields}


def error_event(error: ApiError, client_event: object = None) -> Event:
    """What went wrong; the connection goes on. `client_event` is the id of the event it is about."""
    body: Event = dict(error.body["error"])
    body["event_id"] = client_event if isinstance(client_event, str) else None
    return event("error", {"error": body})


def invalid(message: str, *, param: str | None = None, code: str = "invalid_value") -> ApiError:
    """The client's mistake."""
    return ApiError(400, message, param=param, code=code)


def read_event(message: str) -> Event:
    """A text message -> the event in it.

    Raises:
        ApiError: it is no JSON object with a type, or holds text that is none.
    """
    try:
        read = json.loads(message, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise invalid(f"the message is not valid JSON: {str(error)[:80]}", code="invalid_json") from None
    if not isinstance(read, dict) or not isinstance(read.get("type"), str):
        raise invalid('expected a JSON object with a "type"', param="type", code="missing_type")
    if "\\u" in message:
        try:
            json.dumps(read, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise invalid("the message holds half a surrogate pair, which is no text", code="invalid_text") from None
    return read


def read_audio(value: object, param: str) -> bytes:
    """Base64 -> bytes.

    Raises:
        ApiError: it is not base64.
    """
    try:
        if not isinstance(value, str):
            raise ValueError
        return base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error):
        raise invalid(f"{param} is not base64", param=param, code="invalid_audio") from None


def shown(value: object) -> str:
    """A client's value, short enough for a message."""
    return json.dumps(value, ensure_ascii=False, default=str)[:_MOST_CHARACTERS]


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is no number here")
    return value
