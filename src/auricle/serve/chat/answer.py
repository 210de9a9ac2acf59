"""Answers in OpenAI's shapes: whole, or as the events of a stream."""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from auricle.conversation import Answer, TokenLogprob
from auricle.engines import Piece
from auricle.serve.chat.completion import (
    Alternative,
    Choice,
    Chunk,
    ChunkChoice,
    Completion,
    Delta,
    Logprobs,
    PromptTokens,
    SaidMessage,
    SaidToken,
    Usage,
)

LEAST_LOGPROB = -9999.0  # how OpenAI says "very unlikely": JSON has no infinity
_INCOMPLETE = "\ufffd"  # how a tokenizer shows a part of a character
DONE = "data: [DONE]\n\n"


@dataclass(frozen=True)
class Reply:
    """One answer on its way to its client.

    model: the name it is answered under.
    wants_logprobs, wants_usage: what the client asked for beside the text.
    num_audio_tokens: of the prompt.
    """

    model: str
    wants_logprobs: bool
    wants_usage: bool
    num_audio_tokens: int
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, answer: Answer) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        choice = Choice(
            message=SaidMessage(content=answer.text),
            logprobs=self._logprobs(answer.tokens),
            finish_reason=answer.finish_reason,
        )
        return Completion(
            id=self.id, created=self.created, model=self.model, choices=[choice], usage=self._usage(answer)
        ).model_dump()

    def first(self) -> str:
        """The event that says who speaks."""
        return self._event([ChunkChoice(delta=Delta(role="assistant", content="", refusal=None))])

    def piece(self, piece: Piece) -> str:
        """The event of one part."""
        return self._event([ChunkChoice(delta=Delta(content=piece.text), logprobs=self._logprobs(piece.tokens))])

    def last(self, answer: Answer) -> str:
        """The events after the last part."""
        events = self._event([ChunkChoice(delta=Delta(), finish_reason=answer.finish_reason)])
        if self.wants_usage:
            events += self._event([], self._usage(answer))
        return events + DONE

    def _event(self, choices: list[ChunkChoice], usage: Usage | None = None) -> str:
        chunk = Chunk(id=self.id, created=self.created, model=self.model, choices=choices, usage=usage)
        fields = chunk.model_dump(exclude={"usage"} if not self.wants_usage else None, exclude_none=False)
        for written, choice in zip(fields["choices"], choices, strict=True):
            written["delta"] = choice.delta.model_dump(exclude_unset=True)
        return event(fields)

    def _usage(self, answer: Answer) -> Usage:
        num_prompt, num_said = answer.num_prompt_tokens, answer.num_tokens
        num_audio = min(self.num_audio_tokens, num_prompt)
        return Usage(
            prompt_tokens=num_prompt,
            completion_tokens=num_said,
            total_tokens=num_prompt + num_said,
            prompt_tokens_details=PromptTokens(audio_tokens=num_audio, text_tokens=num_prompt - num_audio),
        )

    def _logprobs(self, tokens: Sequence[TokenLogprob]) -> Logprobs | None:
        if not self.wants_logprobs:
            return None
        return Logprobs(
            content=[
                SaidToken(
                    **_named(token.text, token.logprob),
                    top_logprobs=[Alternative(**_named(*other)) for other in token.top],
                )
                for token in tokens
            ]
        )


def event(fields: dict[str, Any]) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(',', ':'))}\n\n"


def _named(text: str, logprob: float) -> dict[str, Any]:
    known = None if _INCOMPLETE in text else list(text.encode())
    return {"token": text, "logprob": max(logprob, LEAST_LOGPROB), "bytes": known}
