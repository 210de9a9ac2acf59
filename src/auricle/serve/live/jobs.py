"""Work for the engine, done in threads: transcripts and answers."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from auricle import units
from auricle.assistant import NO_FALLBACK, Assistant, Fallback, Result
from auricle.audio import Decoded, Waveform, cut_windows
from auricle.conversation import Answer, Sampling
from auricle.engines import Session
from auricle.errors import ContextError
from auricle.serve.live.conversation import Asked, Item, ways
from auricle.serve.live.events import new_id
from auricle.serve.live.schema import Transcription
from auricle.serve.wire.errors import ApiError


@dataclass(frozen=True, slots=True)
class Transcribe:
    """The words of a stretch of speech that has ended. item_id: whose they are."""

    waveform: Waveform
    wanted: Transcription
    item_id: str
    id: str = field(default_factory=lambda: new_id("job"))


@dataclass(frozen=True, slots=True)
class Guess:
    """The words of speech that goes on; not worth waiting for."""

    waveform: Waveform
    wanted: Transcription
    item_id: str
    id: str = field(default_factory=lambda: new_id("job"))


@dataclass(frozen=True, slots=True)
class Respond:
    """An answer.

    items: the conversation.
    instructions: what the system says before it.
    may_forget: whether the oldest turns are left out where the model's context cannot hold all.
    may_be_shorter: whether the answer to the last turn alone may have fewer tokens than `sampling` says.
    """

    items: tuple[Item, ...]
    instructions: str | None
    sampling: Sampling
    may_forget: bool
    may_be_shorter: bool
    id: str = field(default_factory=lambda: new_id("job"))


Job = Transcribe | Guess | Respond


@dataclass(frozen=True, slots=True)
class Heard:
    """A transcript."""

    job_id: str
    result: Result


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The context cannot hold these items; the answer is made without them."""

    job_id: str
    item_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """The next piece of an answer."""

    job_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer is complete. num_audio_tokens: of the recordings that were asked about."""

    job_id: str
    answer: Answer
    num_audio_tokens: int


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing more comes."""

    job_id: str
    error: ApiError


Report = Heard | LeftOut | Said | Answered | Failed


def reports(job: Job, session: Session) -> Iterator[Report]:
    """Do the work; blocks between reports.

    Raises:
        UserError: it cannot be answered; ContextError, no way of it.
        GivenUpError: the session was cancelled.
    """
    if isinstance(job, Respond):
        yield from _respond(job, session)
    elif isinstance(job, Transcribe):
        yield Heard(job.id, _transcribe(job, session, Fallback()))
    else:
        yield Heard(job.id, _transcribe(job, session, NO_FALLBACK))


def _transcribe(job: Transcribe | Guess, session: Session, fallback: Fallback) -> Result:
    samples, wanted = job.waveform.samples, job.wanted
    return Assistant(session).transcribe(
        Decoded("the microphone", lambda: iter([samples])),
        language=wanted.language or "en",
        initial_prompt=wanted.prompt or "",
        fallback=fallback,
    )


def _respond(job: Respond, session: Session) -> Iterator[Report]:
    for way in islice(ways(job.items, job.instructions), None if job.may_forget else 1):
        try:
            yield from _answer(job.id, way, job.sampling, session)
            return
        except ContextError as error:
            too_long = error
    if not job.may_be_shorter or too_long.num_left < 1:
        raise too_long
    yield from _answer(job.id, way, replace(job.sampling, max_new_tokens=too_long.num_left), session)


def _answer(job_id: str, way: Asked, sampling: Sampling, session: Session) -> Iterator[Report]:
    ticket = session.submit(way.request, sampling)
    if way.left_out:
        yield LeftOut(job_id, way.left_out)
    try:
        for piece in ticket.pieces():
            if piece.text:
                yield Said(job_id, piece.text)
        answer = ticket.answer()
    finally:
        session.release(ticket)
    yield Answered(job_id, answer, sum(map(_num_tokens, way.request.audios)))


def _num_tokens(audio: Waveform) -> int:
    lengths = (len(window.samples) for window in cut_windows(audio))
    return sum(units.tokens_from_frames(units.frames_from_samples(length)) for length in lengths)
