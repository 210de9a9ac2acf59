"""What every engine understands."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from auricle.audio import Waveform
from auricle.conversation import Answer, Message, Sampling


@dataclass(frozen=True, slots=True)
class Request:
    """One thing to answer.

    prompt: a conversation for the chat template, or a text for the raw form that base models are evaluated with.
    audios: the recordings, in the order of their places in the conversation.
    """

    prompt: tuple[Message, ...] | str
    audios: tuple[Waveform, ...] = ()


class Engine(Protocol):
    """Answers requests; the settings mean the same in every engine."""

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
        """One answer per request, in their order, as they become ready."""
        ...

    def stream(self, request: Request, sampling: Sampling) -> Iterator[str]:
        """The pieces of one answer; joined they are its text."""
        ...
