"""Bodies of JSON: read whole and strictly before anything looks into them."""

import json
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute

from auricle.serve.wire.errors import ApiError
from auricle.serve.wire.schemas import shown


class JsonRoute(APIRoute):
    """An endpoint that takes a JSON object and nothing else."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The usual handler, given a request whose body is read."""
        handle = super().get_route_handler()

        async def read_first(request: Request) -> Response:
            return await handle(await _read(request))

        return read_first


class _JsonRequest(Request):
    """A request whose body has been parsed."""

    parsed: Any = None

    async def json(self) -> Any:
        return self.parsed


async def _read(request: Request) -> Request:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise ApiError(415, f"the body is of type {shown(kind)}, expected Content-Type: application/json")
    ready = _JsonRequest(request.scope, request.receive)
    ready.parsed = parse(await ready.body())
    return ready


def parse(body: bytes) -> dict[str, Any]:
    """The object in a body.

    Raises:
        ApiError: 400, it holds none.
    """
    if not body:
        raise ApiError(400, "the body is empty, expected a JSON object")
    try:
        text = body.decode()  # RFC 8259: UTF-8, whatever json.loads could guess
        value = json.loads(text, parse_constant=_refuse)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
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


def _refuse(constant: str) -> NoReturn:
    raise ApiError(400, f"the body holds {constant}, which is no JSON; give a number")
