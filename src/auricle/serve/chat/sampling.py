"""A request's settings as the engine takes them; what it leaves out is the model's own."""

import json
from dataclasses import replace
from typing import Any

from auricle.conversation import Sampling
from auricle.engines import Request, Session, Ticket
from auricle.errors import ContextError, UserError
from auricle.serve.chat.schemas import ChatRequest, JsonObjectFormat, JsonSchemaFormat
from auricle.serve.wire.errors import ApiError

_GREEDY_BELOW = 1e-4  # dividing by less leaves nothing of float32, and the answer is the greedy one long before


def require_consistent(body: ChatRequest) -> None:
    """Refuse settings that fit only with others.

    Raises:
        ApiError: 400; `param` says which.
    """
    limit, other = body.max_completion_tokens, body.max_tokens
    for broken, param, sentence in (
        (
            limit is not None and other is not None and limit != other,
            "max_tokens",
            f"max_tokens {other} and max_completion_tokens {limit} disagree; give one of them",
        ),
        (
            bool(body.top_logprobs) and not body.logprobs,
            "top_logprobs",
            f"top_logprobs {body.top_logprobs} needs logprobs: true; add it, or leave top_logprobs out",
        ),
        (
            body.stream_options is not None and not body.stream,
            "stream_options",
            "stream_options needs stream: true; add it, or leave stream_options out",
        ),
        (
            (body.min_tokens or 0) > (_limit(body) or 2**31),
            "min_tokens",
            f"min_tokens {body.min_tokens} exceeds max_tokens {_limit(body)}; lower it",
        ),
    ):
        if broken:
            raise ApiError(400, sentence, param=param, code="invalid_value")


def to_sampling(body: ChatRequest, defaults: Sampling) -> Sampling:
    """What a request asks for, over the model's generation_config; never beam search, which cannot be streamed."""
    given: dict[str, Any] = {
        "temperature": body.temperature,
        "top_p": body.top_p,
        "top_k": None if body.top_k is None else max(body.top_k, 0),
        "min_p": body.min_p,
        "repetition_penalty": body.repetition_penalty,
        "max_new_tokens": _limit(body),
        "min_new_tokens": body.min_tokens,
        "stop": (body.stop,) if isinstance(body.stop, str) else body.stop and tuple(body.stop),
        "seed": body.seed,
        "logprobs": (body.top_logprobs or 0) if body.logprobs else None,
        "json_schema": _schema(body),
    }
    given = {name: value for name, value in given.items() if value is not None}
    if body.temperature is not None and body.temperature < _GREEDY_BELOW:
        given["temperature"] = 0.0
    if body.stop == []:
        given["stop"] = ()
    chosen = {"num_beams": 1, "length_penalty": 1.0, "min_new_tokens": defaults.min_new_tokens} | given
    longest = chosen.setdefault("max_new_tokens", max(defaults.max_new_tokens, body.min_tokens or 1))
    chosen["min_new_tokens"] = min(chosen["min_new_tokens"], longest)
    return replace(defaults, **chosen)


def submit(session: Session, request: Request, body: ChatRequest) -> Ticket:
    """Hand it in; a length that was not asked for is cut to what the model's context has left.

    Raises:
        ApiError: 400, the engine cannot answer it.
        GivenUpError: the client left.
    """
    sampling = to_sampling(body, session.defaults)
    try:
        try:
            return session.submit(request, sampling)
        except ContextError as error:
            if _limit(body) is not None or error.num_left < max(1, sampling.min_new_tokens):
                raise
            return session.submit(request, replace(sampling, max_new_tokens=error.num_left))
    except ContextError as error:
        param = "messages" if error.num_left < 1 else "max_tokens"
        sentence = str(error).replace("max_new_tokens", "max_tokens")
        raise ApiError(400, sentence, param=param, code="context_length_exceeded") from error
    except UserError as error:
        about_schema = sampling.json_schema is not None and ("json" in str(error).lower() or "schema" in str(error))
        raise ApiError(400, str(error), param="response_format" if about_schema else None) from error


def _limit(body: ChatRequest) -> int | None:
    return body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens


def _schema(body: ChatRequest) -> str | None:
    if isinstance(body.response_format, JsonSchemaFormat):
        return json.dumps(body.response_format.json_schema.schema_)
    return '{"type": "object"}' if isinstance(body.response_format, JsonObjectFormat) else None
