"""Conversations, settings of an answer and answers: plain types that every room may pass around."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from auricle.errors import UserError

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length"]
DEFAULT_SYSTEM = "You are a helpful assistant."  # the published chat template's


@dataclass(frozen=True, slots=True)
class Audio:
    """The place of one recording inside a message; the recordings themselves travel beside, in the same order."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: who speaks, and text and recordings in the order they are given."""

    role: Role
    content: tuple[str | Audio, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen.

    `temperature` 0 is greedy; otherwise the logits are divided by it and the smallest set of tokens whose
    probability reaches `top_p` is sampled from.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int = 256
    seed: int | None = None

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise UserError(f"temperature must not be negative: got {self.temperature}; 0 means greedy")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p must lie in (0, 1]: got {self.top_p}; 1 keeps every token")
        if self.max_new_tokens < 1:
            raise UserError(f"max_new_tokens must be at least 1: got {self.max_new_tokens}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine says to one request.

    `logprob` is the sum of the chosen tokens' log-probabilities (natural log, before temperature).
    """

    text: str
    num_prompt_tokens: int
    num_tokens: int
    finish_reason: FinishReason
    logprob: float


def count_audios(messages: Sequence[Message]) -> int:
    """How many recordings a conversation needs."""
    return sum(isinstance(part, Audio) for message in messages for part in message.content)
