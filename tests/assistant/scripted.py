"""An engine that says what the test wants, and remembers what it was asked."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from auricle.conversation import Answer, Audio, FinishReason, RawPrompt, Sampling
from auricle.engines import Request


class Scripted:
    """Answers from a list, one after another, reading `ahead` requests at a time as a batching engine does."""

    def __init__(
        self,
        *texts: str,
        reasons: tuple[FinishReason, ...] = (),
        logprobs: tuple[float, ...] = (),
        scores: tuple[float, ...] = (),
        ahead: int = 1,
        batch_size: int = 2,
    ) -> None:
        reasons = reasons or ("stop",) * len(texts)
        logprobs = logprobs or (-1.0,) * len(texts)
        self.answers = [Answer(t, 10, 2, r, lp) for t, r, lp in zip(texts, reasons, logprobs, strict=True)]
        self.scores = list(scores)
        self.ahead, self.batch_size = ahead, batch_size
        self.defaults = Sampling(temperature=0.7, top_k=20, repetition_penalty=1.1)
        self.requests: list[Request] = []
        self.samplings: list[Sampling] = []
        self.scored: list[tuple[Request, tuple[str, ...]]] = []

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
        self.samplings.append(sampling)
        requests = iter(requests)
        while batch := list(islice(requests, self.ahead)):
            self.requests += batch
            yield from (self.answers.pop(0) for _ in batch)

    def stream(self, request: Request, sampling: Sampling) -> Iterator[str]:
        self.requests.append(request)
        self.samplings.append(sampling)
        yield from self.answers.pop(0).text

    def score(self, request: Request, continuations: Sequence[str]) -> list[float]:
        self.scored.append((request, tuple(continuations)))
        return self.scores

    @property
    def prompts(self) -> list[str]:
        """What each request's raw prompt or first turn says, a recording shown as *."""
        turns = [
            request.prompt.content if isinstance(request.prompt, RawPrompt) else request.prompt[0].content
            for request in self.requests
        ]
        return ["".join("*" if isinstance(part, Audio) else part for part in turn) for turn in turns]
