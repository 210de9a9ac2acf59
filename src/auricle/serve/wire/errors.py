"""Everything that goes wrong, in the shape of OpenAI's errors: {"error": {message, type, param, code}}."""

import errno
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from auricle.engines import GivenUpError
from auricle.engines.upstream import UpstreamBusyError, UpstreamError
from auricle.errors import ContextError, UserError
from auricle.serve.wire.fields import describe_field
from auricle.serve.wire.schemas import shown

CLIENT_LEFT = 499  # nginx's status; nobody reads it but the log and the counters
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    502: "server_error",
    503: "server_error",
    504: "server_error",
}


class ApiError(Exception):
    """One request is refused.

    status: the HTTP status.
    message: a sentence: what is wrong, got, expected, what to do.
    param: the field that is wrong, by its name in the request.
    code: OpenAI's word for it, where there is one.
    headers: more of the answer's, such as Retry-After.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, dict[str, str | None]]:
        """What the client reads, also as an event of a stream that has begun."""
        kind = _TYPES.get(self.status, "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """The whole answer."""
        return JSONResponse(self.body, status_code=self.status, headers=self.headers)

    def about(self, param: str) -> "ApiError":
        """The same error of a field, where it names none that stands in the request."""
        return ApiError(self.status, self.message, param=param, code=self.code, headers=self.headers)


def is_ours(error: BaseException) -> bool:
    """Whether an error is the server's fault, so that its log must say more than the client is told."""
    return to_api_error(error).status == 500 and not isinstance(error, ApiError)


def to_api_error(error: BaseException) -> ApiError:
    """Any error as the client should read it; what is our fault says nothing of its inside."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ContextError):
        return ApiError(400, str(error), param="messages", code="context_length_exceeded")
    if isinstance(error, UserError):
        return ApiError(400, str(error))
    if isinstance(error, GivenUpError | ClientDisconnect):
        return ApiError(CLIENT_LEFT, "the client left")
    if isinstance(error, UpstreamBusyError):
        return _busy(str(error))
    if isinstance(error, UpstreamError):
        return ApiError(502, str(error), code="upstream_error")
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return _busy("the server is busy: it has as many files open as it may; try again later")
    if isinstance(error, RequestValidationError):
        return ApiError(400, **describe_field(error.errors()[0]))
    if isinstance(error, HTTPException):
        return ApiError(error.status_code, str(error.detail), headers=error.headers)
    return ApiError(500, "the server failed on this request; its log says why")


def _busy(message: str) -> ApiError:
    return ApiError(429, message, code="rate_limit_exceeded", headers={"Retry-After": "1"})


def add_error_handlers(app: FastAPI) -> None:
    """Let every error leave in OpenAI's shape; what no handler knows is caught by `Recorder`."""

    async def answer(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, HTTPException):
            error = _of_routing(request, error)
        if is_ours(error):
            raise error
        return to_api_error(error).response()

    known = (ApiError, UserError, GivenUpError, ClientDisconnect, RequestValidationError, HTTPException, OSError)
    for kind in known:
        app.add_exception_handler(kind, answer)


def _of_routing(request: Request, error: HTTPException) -> HTTPException | ApiError:
    """What Starlette says in two words, in a sentence."""
    asked = f"{request.method} {shown(request.url.path)[1:-1]}"
    if error.status_code == 404 and error.detail == "Not Found":
        return ApiError(404, f"there is nothing at {asked}; /docs lists what is there", code="unknown_url")
    if error.status_code == 405 and error.detail == "Method Not Allowed":
        allowed = (error.headers or {}).get("Allow", "another method")
        return ApiError(
            405, f"{asked} is not possible; use {allowed}", code="method_not_supported", headers=error.headers
        )
    return error
