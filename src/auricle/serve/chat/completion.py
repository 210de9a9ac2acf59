"""What /v1/chat/completions answers, as OpenAI's."""

from typing import Literal

from auricle.serve.wire.schemas import Given

FinishReason = Literal["stop", "length"]


class Alternative(Given):
    """A token that could have been said."""

    token: str
    logprob: float
    """Natural logarithm, before penalties and temperature; -9999 where it is lower still."""
    bytes: list[int] | None
    """Its UTF-8; null where the token is a part of a character."""


class SaidToken(Alternative):
    """A token that was said."""

    top_logprobs: list[Alternative]
    """The likeliest, best first."""


class Logprobs(Given):
    """All tokens but the one that ended the answer."""

    content: list[SaidToken]
    refusal: None = None


class PromptTokens(Given):
    """What the prompt was made of."""

    audio_tokens: int
    text_tokens: int


class Usage(Given):
    """Tokens, counted by the model's own tokenizer; the one that ended the answer is not counted."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokens


class SaidMessage(Given):
    """The answer."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(Given):
    """The one answer."""

    index: Literal[0] = 0
    message: SaidMessage
    logprobs: Logprobs | None
    finish_reason: FinishReason


class Completion(Given):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    system_fingerprint: None = None


class Delta(Given):
    """What is new; fields that are not, are left out."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    refusal: None = None


class ChunkChoice(Given):
    """A part of the one answer."""

    index: int = 0
    delta: Delta
    logprobs: Logprobs | None = None
    finish_reason: FinishReason | None = None


class Chunk(Given):
    """One event of a stream: `data: {...}` and an empty line. `data: [DONE]` ends it."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    """Empty in the chunk that counts the tokens."""
    usage: Usage | None = None
    """Only with `stream_options.include_usage`: null but in the last chunk."""
    system_fingerprint: None = None
