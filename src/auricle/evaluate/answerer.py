"""What answers samples: any engine behind one small interface, recordings heard ahead of it."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Protocol

from auricle import audio, units
from auricle.conversation import Answer, Sampling
from auricle.data.parallel import in_order
from auricle.engines import Engine, Request
from auricle.errors import UserError
from auricle.evaluate.requests import AskedForm, form_of, request_of
from auricle.evaluate.sample import Answered, Sample

_HEARING_THREADS = 4
_REFUSALS_IN_A_ROW = 5  # then it is not the samples' doing


class Answerer(Protocol):
    """Answers samples.

    identity: all that decides an answer beside the sample and the sampling: the model's files, what runs them, dtype.
    """

    identity: str
    sampling: Sampling

    def answer(self, samples: Iterable[Sample]) -> Iterator[Answered]:
        """One for each sample, in the order given, each as soon as it is ready; a recording that cannot be heard is
        one with `failure`. Where a sample does not say how long its recording is, the answered one does."""
        ...


@dataclass(frozen=True, slots=True)
class _Heard:
    """A sample and what is asked of the engine; or why nothing is."""

    sample: Sample
    request: Request | None
    failure: str | None = None


class EngineAnswerer:
    """An engine as an `Answerer`.

    Args:
        engine: open.
        identity: as `Answerer` says.
        sampling: of all answers.
        prompt: the form of prompts.
        check: raises UserError for a request that this model cannot answer, such as one too long for its context, so
            that it never reaches the engine. None for a server, which says so itself.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        identity: str,
        sampling: Sampling,
        prompt: AskedForm = "auto",
        check: Callable[[Request], object] | None = None,
    ) -> None:
        self.identity = identity
        self.sampling = sampling
        self._engine = engine
        self._prompt: AskedForm = prompt
        self._check = check

    def answer(self, samples: Iterable[Sample]) -> Iterator[Answered]:
        """As `Answerer` says; recordings are decoded in threads while the engine works.

        Raises:
            UserError: the engine refuses what it is asked, a server five samples in a row.
        """
        with closing(self._hear_all(list(samples))) as heard:
            yield from self._answers(heard)

    def _hear_all(self, samples: Sequence[Sample]) -> Generator[_Heard, None, None]:
        yield from in_order(lambda place: self._hear(samples[place]), len(samples), _HEARING_THREADS)

    def _hear(self, sample: Sample) -> _Heard:
        try:
            waveform = audio.load(sample.audio)
            if sample.duration_s is None:
                sample = replace(sample, duration_s=waveform.duration_s)
            request = request_of(sample, waveform, form_of(sample, self._prompt))
            if self._check is not None:
                self._check(request)
        except UserError as error:
            return _Heard(sample, None, str(error))
        return _Heard(sample, request)

    def _answers(self, heard: Iterator[_Heard]) -> Iterator[Answered]:
        """Every engine answers in order and names no request when it refuses: it is the first without an answer."""
        waiting: deque[_Heard] = deque()
        num_refused = 0
        while True:
            try:
                for answer in self._engine.generate(_requests(waiting, heard), self.sampling):
                    yield from _failed(waiting)
                    yield _answered(waiting.popleft().sample, answer)
                    num_refused = 0
            except UserError as error:
                yield from _failed(waiting)
                if self._check is not None or not waiting:
                    raise
                refused = waiting.popleft()
                num_refused += not _is_long(refused)
                if num_refused == _REFUSALS_IN_A_ROW:
                    raise
                yield Answered(refused.sample, "", failure=str(error))
            else:
                yield from _failed(waiting)
                return


def _requests(waiting: deque[_Heard], heard: Iterator[_Heard]) -> Iterator[Request]:
    """Those an engine was asked before it gave up, then the rest; `waiting` holds whatever has no answer yet."""
    yield from [item.request for item in waiting if item.request is not None]
    for item in heard:
        waiting.append(item)
        if item.request is not None:
            yield item.request


def _failed(waiting: deque[_Heard]) -> Iterator[Answered]:
    """Those at the front that nobody is asked about."""
    while waiting and waiting[0].request is None:
        item = waiting.popleft()
        yield Answered(item.sample, "", failure=item.failure)


def _answered(sample: Sample, answer: Answer) -> Answered:
    return Answered(sample, answer.text, answer.num_tokens, answer.finish_reason)


def _is_long(item: _Heard) -> bool:
    """Servers refuse more than 30 s one by one; the longest come first, so that many in a row mean nothing."""
    return item.request is not None and any(len(one.samples) > units.WINDOW_SAMPLES for one in item.request.audios)
