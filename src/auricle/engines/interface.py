"""What every engine understands."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from auricle.audio import Waveform
from auricle.conversation import Answer, Message, RawPrompt, Sampling


@dataclass(frozen=True, slots=True)
class Request:
    """One thing to answer.

    prompt: a conversation for the chat template, or the raw form that base models are evaluated with.
    audios: the recordings, in the order of their places in the prompt.
    """

    prompt: tuple[Message, ...] | RawPrompt
    audios: tuple[Waveform, ...] = ()


class Engine(Protocol):
    """Answers requests; a setting means the same in every engine, or the engine refuses it with a UserError.

    defaults: the model's own generation_config.
    batch_size: how many recordings of 30 s it answers at once; callers may hand it several times as many.
    """

    defaults: Sampling
    batch_size: int

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
        """One answer per request, in their order, as they become ready."""
        ...

    def stream(self, request: Request, sampling: Sampling) -> Iterator[str]:
        """The pieces of one answer; joined they are its text."""
        ...

    def score(self, request: Request, continuations: Sequence[str]) -> list[float]:
        """The log-probability of each text as what the model says next (the sum over its tokens, natural log)."""
        ...
