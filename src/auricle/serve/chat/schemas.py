"""A request to /v1/chat/completions: OpenAI's fields, and vLLM's names for what OpenAI lacks."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from auricle.serve.chat.messages import MOST_MESSAGES, Message
from auricle.serve.wire.schemas import Neutral, Strict, tag_of_content, tag_of_type


class StreamOptions(Strict):
    """More about a stream."""

    include_usage: bool | None = None
    """Whether a last chunk counts the tokens."""
    include_obfuscation: bool | None = None
    """Accepted; nothing is obfuscated."""


class TextFormat(Strict):
    """Any text."""

    type: Literal["text"]


class JsonObjectFormat(Strict):
    """Any JSON object, where the engine can hold to it."""

    type: Literal["json_object"]


class JsonSchema(Strict):
    """What the answer must look like."""

    name: str
    description: str | None = None
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    """A JSON schema."""
    strict: bool | None = None
    """The schema is held to in any case."""


class JsonSchemaFormat(Strict):
    """JSON after a schema, where the engine can hold to it."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[
    Annotated[TextFormat, Tag("=text")]
    | Annotated[JsonObjectFormat, Tag("=json_object")]
    | Annotated[JsonSchemaFormat, Tag("=json_schema")],
    Discriminator(tag_of_type),
]
StopText = Annotated[str, Field(min_length=1, max_length=1000)]
Stop = Annotated[
    Annotated[StopText, Tag("=text")] | Annotated[list[StopText], Field(max_length=64), Tag("=list")],
    Discriminator(tag_of_content),
]


class ChatRequest(Strict):
    """A conversation to continue.

    What is left out, or null, is as the model's generation_config says. A field that OpenAI knows and that would
    change the answer in a way this server cannot is refused unless its value is neutral; an unknown field is refused.
    """

    messages: Annotated[list[Message], Field(min_length=1, max_length=MOST_MESSAGES)]
    """The conversation so far."""
    model: Annotated[str | None, Field(max_length=256)] = None
    """Any name: a server has one model, and answers under the name it was asked by."""
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    """0 takes the likeliest token always; so does anything below 0.0001."""
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    """Draw from the likeliest tokens that together are so probable."""
    top_k: Annotated[int | None, Field(ge=-1, le=2**31)] = None
    """Draw from so many likeliest tokens; 0 and -1 mean all."""
    min_p: Annotated[float | None, Field(ge=0, lt=1)] = None
    """Draw from tokens at least so many times as likely as the likeliest."""
    repetition_penalty: Annotated[float | None, Field(ge=0.01, le=100)] = None
    """Above 1, tokens that were said or read already become less likely."""
    max_tokens: Annotated[int | None, Field(ge=1, le=2**31)] = None
    """The longest answer; left out, the model's usual limit, or what its context has left."""
    max_completion_tokens: Annotated[int | None, Field(ge=1, le=2**31)] = None
    """OpenAI's newer name for `max_tokens`."""
    min_tokens: Annotated[int | None, Field(ge=0, le=2**31)] = None
    """The answer does not end before."""
    stop: Stop | None = None
    """Texts that end the answer, which is given without them."""
    seed: Annotated[int | None, Field(ge=-(2**63), le=2**63 - 1)] = None
    """Makes a draw repeatable."""
    logprobs: bool | None = None
    """Whether to tell each token's log-probability."""
    top_logprobs: Annotated[int | None, Field(ge=0, le=20)] = None
    """So many likeliest alternatives to each token; needs `logprobs`."""
    response_format: ResponseFormat | None = None
    """Text, or JSON where the engine can hold to it."""
    stream: bool | None = None
    """Whether the answer comes piece by piece, as server-sent events."""
    stream_options: StreamOptions | None = None
    """Only with `stream`."""

    n: Annotated[Any, Neutral(1)] = None
    frequency_penalty: Annotated[Any, Neutral(0)] = None
    presence_penalty: Annotated[Any, Neutral(0)] = None
    logit_bias: Annotated[Any, Neutral({})] = None
    tools: Annotated[Any, Neutral([])] = None
    tool_choice: Annotated[Any, Neutral("none", "auto")] = None
    functions: Annotated[Any, Neutral([])] = None
    function_call: Annotated[Any, Neutral("none", "auto")] = None
    modalities: Annotated[Any, Neutral(["text"])] = None
    audio: Annotated[Any, Neutral()] = None
    moderation: Annotated[Any, Neutral()] = None
    reasoning_effort: Annotated[Any, Neutral("none")] = None
    verbosity: Annotated[Any, Neutral("medium")] = None
    web_search_options: Annotated[Any, Neutral()] = None

    parallel_tool_calls: bool | None = None
    """Accepted; changes nothing without tools, as do the following."""
    prediction: dict[str, Any] | None = None
    service_tier: str | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
