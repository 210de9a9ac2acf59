"""Conversations, settings of an answer and answers: plain types that every room may pass around."""

import math
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
class RawPrompt:
    """The raw form that base models are evaluated with: text and recordings in the order given, no turns.

    The published recognition prompt is `RawPrompt((Audio(), "Detect the language and recognize the speech: <|en|>"))`.
    """

    content: tuple[str | Audio, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen, and when an answer ends.

    Every step, in this order: the logits of tokens that the prompt or the answer holds already are divided (where
    positive) or multiplied (where negative) by `repetition_penalty`; tokens that end the answer are barred before
    `min_new_tokens`. At `temperature` 0 the likeliest token follows; otherwise the logits are divided by the
    temperature, the `top_k` likeliest tokens are kept (0 keeps all), then the smallest set of tokens whose
    probability reaches `top_p`, then those at least `min_p` times as likely as the likeliest, and one is drawn.

    num_beams: above 1, beam search; beams are ranked by the sum of log-probabilities / length ** `length_penalty`.
    The repetition penalty then changes log-probabilities instead of logits, as in transformers.
    stop: texts that end the answer; it is returned without them.
    logprobs: None, or report each token's log-probability and those of so many likeliest alternatives.
    seed: makes a draw repeatable within one engine.
    json_schema: a JSON schema, as text, that the answer must follow; engines that cannot hold to one refuse it.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    num_beams: int = 1
    length_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    min_new_tokens: int = 0
    max_new_tokens: int = 256
    logprobs: int | None = None
    seed: int | None = None
    json_schema: str | None = None

    def __post_init__(self) -> None:
        for broken, sentence in (
            (
                not 0 <= self.temperature < math.inf,
                f"temperature must not be negative: got {self.temperature}; 0 means greedy",
            ),
            (self.top_k < 0, f"top_k must not be negative: got {self.top_k}; 0 keeps every token"),
            (not 0 < self.top_p <= 1, f"top_p must lie in (0, 1]: got {self.top_p}; 1 keeps every token"),
            (not 0 <= self.min_p < 1, f"min_p must lie in [0, 1): got {self.min_p}; 0 keeps every token"),
            (
                not 0 < self.repetition_penalty < math.inf,
                f"repetition_penalty must be above 0: got {self.repetition_penalty}; 1 means none",
            ),
            (self.num_beams < 1, f"num_beams must be at least 1: got {self.num_beams}; 1 means no beam search"),
            (
                self.num_beams > 1 and self.temperature > 0,
                f"beam search does not sample: got num_beams {self.num_beams} and temperature {self.temperature}; "
                "set the temperature to 0",
            ),
            (
                not math.isfinite(self.length_penalty),
                f"length_penalty must be finite: got {self.length_penalty}; 1 is usual",
            ),
            ("" in self.stop, "stop holds an empty text, which would end every answer at once; leave it out"),
            (
                self.min_new_tokens < 0,
                f"min_new_tokens must not be negative: got {self.min_new_tokens}; 0 asks for none",
            ),
            (self.max_new_tokens < 1, f"max_new_tokens must be at least 1: got {self.max_new_tokens}"),
            (
                self.min_new_tokens > self.max_new_tokens,
                f"min_new_tokens {self.min_new_tokens} exceeds max_new_tokens {self.max_new_tokens}; lower it",
            ),
            (
                self.logprobs is not None and not 0 <= self.logprobs <= 20,
                f"logprobs must lie in 0 to 20: got {self.logprobs}; it counts the alternatives reported per token",
            ),
        ):
            if broken:
                raise UserError(sentence)


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token of an answer: its text, its log-probability, and the likeliest alternatives, best first."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine says to one request.

    `num_tokens` counts the tokens that were generated, a token that ended the answer apart. `logprob` is the sum of
    the log-probabilities of all that were generated, the ending one included (natural log, before penalties and
    temperature). `tokens` is empty unless `Sampling.logprobs` asks for it.
    """

    text: str
    num_prompt_tokens: int
    num_tokens: int
    finish_reason: FinishReason
    logprob: float
    tokens: tuple[TokenLogprob, ...] = ()


def count_audios(messages: Sequence[Message]) -> int:
    """How many recordings a conversation needs."""
    return sum(isinstance(part, Audio) for message in messages for part in message.content)
