"""Bodies of JSON: read whole and strictly before anything looks into them."""

import json
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NoReturn

import anyio
import anyio.to_thread
from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from auricle.serve.wire.errors import ApiError
from auricle.serve.wire.fields import describe_field
from auricle.serve.wire.schemas import shown

_SHORT_BYTES = 2**18  # the event loop itself reads so much
_LONG_AT_ONCE = 2
_MOST_MARKS = 2**17  # of punctuation between values: Python's parser holds the interpreter until it is through
_MARKS = b"{[,:"


class JsonRoute(APIRoute):
    """An endpoint that takes a JSON object and nothing else; long ones are read in a thread."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The usual handler, given a request whose body is read and checked."""
        handle = super().get_route_handler()
        model = self.body_field.field_info.annotation if self.body_field else None
        limiter: anyio.CapacityLimiter | None = None

        async def read_first(request: Request) -> Response:
            nonlocal limiter
            if limiter is None:  # belongs to the event loop
                limiter = anyio.CapacityLimiter(_LONG_AT_ONCE)
            return await handle(await _read(request, model, limiter))

        return read_first


class _JsonRequest(Request):
    """A request whose body has been read; the bytes are not kept."""

    parsed: Any = None

    async def body(self) -> bytes:
        return b"{}"

    async def json(self) -> Any:
        return self.parsed


async def _read(request: Request, model: Any, limiter: anyio.CapacityLimiter) -> Request:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise ApiError(415, f"the body is of type {shown(kind)}, expected Content-Type: application/json")
    body = b"".join([piece async for piece in request.stream()])
    ready = _JsonRequest(request.scope, request.receive)
    work = partial(_checked, body, model)
    ready.parsed = work() if len(body) <= _SHORT_BYTES else await anyio.to_thread.run_sync(work, limiter=limiter)
    return ready


def _checked(body: bytes, model: Any) -> Any:
    """The endpoint's own description of a body, filled; FastAPI takes it as it is."""
    value = parse(body)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return value
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise ApiError(400, **describe_field(dict(error.errors()[0]))) from None


def parse(body: bytes) -> dict[str, Any]:
    """The object in a body.

    Raises:
        ApiError: 400, it holds none, or one of too many values.
    """
    if not body:
        raise ApiError(400, "the body is empty, expected a JSON object")
    if len(body) > _MOST_MARKS and sum(body.count(mark) for mark in _MARKS) > _MOST_MARKS:
        raise ApiError(400, f"the body holds more than {_MOST_MARKS} of {_MARKS.decode()}; send fewer values")
    try:
        value = json.loads(body.decode(), parse_constant=_refuse)  # RFC 8259: UTF-8, whatever json.loads could guess
        if b"\\u" in body:
            _require_whole(value)
    except RecursionError:
        raise ApiError(400, "the body is not read: its JSON is nested too deeply; flatten it") from None
    except json.JSONDecodeError as error:
        raise ApiError(400, f"the body is not JSON: {error.msg} at character {error.pos}; correct it") from None
    except UnicodeError:
        raise ApiError(400, "the body holds halves of characters or is not UTF-8; expected JSON in UTF-8") from None
    except ValueError:
        raise ApiError(400, "the body holds a number of thousands of digits; give a shorter one") from None
    if not isinstance(value, dict):
        raise ApiError(400, f"the body is {shown(value)}, expected a JSON object")
    return value


def _require_whole(value: Any) -> None:
    """Raise UnicodeEncodeError for a half of a character in any text; ASCII, such as base64, is not looked at."""
    rest = [value]
    while rest:
        one = rest.pop()
        if isinstance(one, str):
            if not one.isascii():
                one.encode()
        elif isinstance(one, dict):
            rest += one
            rest += one.values()
        elif isinstance(one, list):
            rest += one


def _refuse(constant: str) -> NoReturn:
    raise ApiError(400, f"the body holds {constant}, which is no JSON; give a number")
