"""An engine that follows a script."""

from collections.abc import Iterable, Iterator

from auricle.conversation import Answer, Sampling
from auricle.engines import Request


class Scripted:
    """Says its answers in turn, whatever it hears; keeps what it was asked."""

    defaults = Sampling()
    batch_size = 2

    def __init__(self, *answers: str) -> None:
        self.answers = answers
        self.asked: list[Request] = []

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
        for request in requests:
            text = self.answers[len(self.asked) % len(self.answers)]
            self.asked.append(request)
            yield Answer(text, 1, len(text.split()), "stop", 0.0)
