"""A model that says what it was asked, for runs that need no real one; every process can open it."""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from auricle.conversation import Sampling
from auricle.errors import UserError
from auricle.evaluate.opener import Identity, Opener
from auricle.evaluate.sample import Answered, Sample


@dataclass(frozen=True)
class Echo:
    """Answers with prompt and length of the recording's file, the same whoever asks; a file of no bytes is not heard.

    log: gets a line `PLACE ID` for every sample asked and `PLACE open` for every model opened. after: so many answers
    of one process, then `end`.
    """

    log: Path
    identity: Identity = field(default_factory=lambda: Identity("echo", "0" * 64, "native", "float32", Sampling()))
    after: int | None = None
    end: int | str = signal.SIGKILL  # a signal to itself, or the sentence of a UserError

    def form(self, sample: Sample) -> str:
        return "raw"

    def open(self, place: int, num_processes: int) -> "Answering":
        _note(self.log, f"{place} open")
        return Answering(self, place)


@dataclass(frozen=True)
class Answering:
    echo: Echo
    place: int
    seconds: float = 0.0

    def answer(self, samples: Iterable[Sample]) -> Iterator[Answered]:
        for number, sample in enumerate(samples):
            if number == self.echo.after:
                _end(self.echo.end)
            _note(self.echo.log, f"{self.place} {sample.id}")
            time.sleep(self.seconds)
            size = sample.audio.stat().st_size
            sample = replace(sample, duration_s=size / 10)
            failure = f"{sample.audio} is empty" if not size else None
            yield Answered(sample, "" if failure else f"{sample.prompt} {size}", size, "stop", failure)


@dataclass(frozen=True)
class Slow(Echo):
    """Takes a second for each answer, and notes `PLACE open PID`."""

    def open(self, place: int, num_processes: int) -> "Answering":
        _note(self.log, f"{place} open {os.getpid()}")
        return Answering(self, place, seconds=1.0)


@dataclass(frozen=True)
class Mortal:
    """Another model, that ends its process by SIGKILL after so many answers."""

    opener: Opener
    log: Path
    after: int | None = None

    @property
    def identity(self) -> Identity:
        return self.opener.identity

    def form(self, sample: Sample) -> str:
        return self.opener.form(sample)

    def open(self, place: int, num_processes: int) -> "Dying":
        return Dying(self, self.opener.open(place, num_processes))


class Dying:
    def __init__(self, mortal: Mortal, answerer: object) -> None:
        self._mortal = mortal
        self._answerer = answerer

    def answer(self, samples: Iterable[Sample]) -> Iterator[Answered]:
        for number, answered in enumerate(self._answerer.answer(samples)):
            if number == self._mortal.after:
                os.kill(os.getpid(), signal.SIGKILL)
            _note(self._mortal.log, answered.sample.id)
            yield answered


def read_log(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _end(how: int | str) -> None:
    if isinstance(how, str):
        raise UserError(how)
    os.kill(os.getpid(), how)


def _note(path: Path, line: str) -> None:
    with path.open("a", errors="backslashreplace") as file:  # one short write, which processes do not mix up
        file.write(f"{line}\n")
