"""How errors look, for the OpenAPI description of every endpoint."""

from typing import Any

from auricle.serve.wire.schemas import Given


class ErrorDetail(Given):
    """What went wrong."""

    message: str
    """One sentence: what is wrong, got, expected, what to do."""
    type: str
    """OpenAI's kind of error."""
    param: str | None
    """The field that is wrong, such as `messages[1].content[0]`."""
    code: str | None
    """OpenAI's word for the case, where it has one."""


class ErrorBody(Given):
    """The shape of every error."""

    error: ErrorDetail


_MEANINGS = {
    400: "The request cannot be answered as it is.",
    401: "The API key is missing or wrong.",
    403: "This client or address is not allowed.",
    404: "There is no such thing here.",
    405: "The address knows other methods.",
    408: "The request's body did not come in time.",
    413: "The body or a recording is larger than this server takes.",
    415: "The body is of another type than this endpoint reads.",
    421: "The request names another host than this server's.",
    429: "Too many wait; try again after `Retry-After` seconds.",
    500: "The server failed; its log says why.",
    502: "The server behind this one failed.",
    503: "The server is stopping.",
    504: "The server behind this one did not answer in time.",
}


_DOOR = (401, 403, 421)  # any request may be sent away before it is looked at


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Endpoints' `responses`: these statuses and those of the door; without any, all that a request may come to."""
    wanted = sorted({*_DOOR, *statuses}) if statuses else _MEANINGS
    return {status: {"model": ErrorBody, "description": _MEANINGS[status]} for status in wanted}
