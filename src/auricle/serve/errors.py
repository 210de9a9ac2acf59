"""Everything that goes wrong, in the shape of OpenAI's errors: {"error": {message, type, param, code}}."""

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from auricle.engines import GivenUpError
from auricle.errors import UserError

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
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


def to_api_error(error: BaseException) -> ApiError:
    """Any error as the client should read it; what is our fault says nothing of its inside."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, UserError):
        return ApiError(400, str(error))
    if isinstance(error, GivenUpError):
        return ApiError(499, "the client left")  # nginx's status; nobody reads it but the log
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query"))
        return ApiError(400, f"{place or 'the request'}: {first['msg']}", param=place or None)
    if isinstance(error, HTTPException):
        return ApiError(error.status_code, str(error.detail), headers=error.headers)
    return ApiError(500, "the server failed on this request; its log says why")


def add_error_handlers(app: FastAPI) -> None:
    """Let every error leave in OpenAI's shape."""

    async def answer(request: Request, error: Exception) -> JSONResponse:
        return to_api_error(error).response()

    for kind in (ApiError, UserError, GivenUpError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)
