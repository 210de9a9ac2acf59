"""Counts what a service is asked and what it says, whoever asks."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, Metric

from auricle import units
from auricle.audio import Waveform, cut_windows
from auricle.conversation import Answer, Sampling
from auricle.engines import Piece, Request, Service, Ticket


def num_audio_tokens(audio: Waveform) -> int:
    """How many places of a prompt a recording takes, cut as every engine of ours cuts it."""
    return sum(
        units.tokens_from_frames(units.frames_from_samples(len(window.samples))) for window in cut_windows(audio)
    )


@dataclass
class Totals:
    """Sums since the start; any thread adds to them."""

    prompt_tokens: int = 0
    answer_tokens: int = 0
    audio_tokens: int = 0
    audio_seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def heard(self, audios: Sequence[Waveform]) -> None:
        """Recordings that the engine was given."""
        tokens, seconds = sum(map(num_audio_tokens, audios)), sum(audio.duration_s for audio in audios)
        with self._lock:
            self.audio_tokens += tokens
            self.audio_seconds += seconds

    def answered(self, answer: Answer) -> None:
        """An answer that was read to its end."""
        with self._lock:
            self.prompt_tokens += answer.num_prompt_tokens
            self.answer_tokens += answer.num_tokens

    def families(self) -> Iterator[Metric]:
        """For Prometheus."""
        for name, meaning in (
            ("prompt_tokens", "Tokens of the prompts that were answered, those of sound included."),
            ("answer_tokens", "Tokens of the answers."),
            ("audio_tokens", "Tokens of the recordings that were heard."),
            ("audio_seconds", "Seconds of the recordings that were heard."),
        ):
            yield CounterMetricFamily(f"auricle_{name}", meaning, value=getattr(self, name))


class CountedService:
    """A service whose traffic is counted."""

    def __init__(self, service: Service, totals: Totals) -> None:
        self._service = service
        self._totals = totals
        self.defaults = service.defaults
        self.batch_size = service.batch_size

    def submit(self, request: Request, sampling: Sampling, index: int = 0) -> Ticket:
        """As the service."""
        ticket = self._service.submit(request, sampling, index)
        self._totals.heard(request.audios)
        return _CountedTicket(ticket, self._totals)

    def score(self, request: Request, continuations: Sequence[str]) -> list[float]:
        """As the service."""
        return self._service.score(request, continuations)

    def close(self) -> None:
        """As the service."""
        self._service.close()


class _CountedTicket(Ticket):
    """The reader's side of a ticket; its answer is counted once."""

    def __init__(self, ticket: Ticket, totals: Totals) -> None:
        super().__init__()
        self._ticket = ticket
        self._totals = totals
        self._counted = False

    def pieces(self) -> Iterator[Piece]:
        yield from self._ticket.pieces()
        self._count(self._ticket.answer())

    def answer(self) -> Answer:
        answer = self._ticket.answer()
        self._count(answer)
        return answer

    def cancel(self) -> None:
        self._ticket.cancel()

    @property
    def cancelled(self) -> bool:
        return self._ticket.cancelled

    @property
    def done(self) -> bool:
        return self._ticket.done

    def _count(self, answer: Answer) -> None:
        if not self._counted:
            self._counted = True
            self._totals.answered(answer)
