"""Recordings of any length into words: window by window, many windows at once, each recording's result in order."""

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from auricle import units
from auricle.assistant.fallback import Attempt, Fallback, answer_with_fallback, compression_ratio, mean_logprob
from auricle.assistant.languages import HEARD, UNSPACED
from auricle.assistant.loops import drop_loop
from auricle.assistant.result import Result, Segment
from auricle.audio import Source, Waveform, Window, stream_windows
from auricle.conversation import Audio, RawPrompt, Sampling
from auricle.engines import Engine, Request
from auricle.errors import UserError

# The prompts that the published base model is evaluated with; the tag after them names the language spoken.
RECOGNISE = "Detect the language and recognize the speech:"
TRANSLATE = "Detect the language and translate the speech into {}:"
_TAG = re.compile(r"\A\s*<\|([a-z]{2,3})\|>")
_POOL = 8  # short windows are collected until there are so many full batches of them


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked of every window.

    instruction: RECOGNISE, or TRANSLATE with a language in it.
    language: the ISO code of the speech, or auto.
    initial_prompt: text that stands before the recording: names, spellings, what was said before.
    """

    instruction: str
    language: str
    initial_prompt: str = ""

    def prompt(self, language: str | None) -> RawPrompt:
        """The published raw prompt; with a language, its tag."""
        tagged = self.instruction if language is None else f"{self.instruction} <|{language}|>"
        return RawPrompt((f"{self.initial_prompt}\n", Audio(), tagged) if self.initial_prompt else (Audio(), tagged))


@dataclass(frozen=True, slots=True)
class Watch:
    """Who wants to know meanwhile: of each segment as it is ready, and of each recording that cannot be heard.

    Without `refused` such a recording raises its UserError, after the results of those before it.
    """

    segment: Callable[[str | None, Segment], None] | None = None
    refused: Callable[[str | None, UserError], None] | None = None


NOBODY = Watch()


@dataclass(slots=True)
class _Recording:
    """One recording on its way: its segments so far."""

    path: str | None
    language: str | None = None
    probability: float | None = None
    duration_s: float = 0.0
    segments: list[Segment] = field(default_factory=list)
    cut_off: bool = False


@dataclass(frozen=True, slots=True)
class _Piece:
    """One window of one recording; without a window, the recording's end, good or bad."""

    recording: _Recording
    window: Window | None = None
    error: UserError | None = None


def recognise(
    engine: Engine,
    recordings: Iterable[Source],
    task: Task,
    *,
    sampling: Sampling,
    fallback: Fallback,
    window_s: float,
    watch: Watch = NOBODY,
) -> Iterator[Result]:
    """Each recording's words, as soon as they are complete; at most a few batches of windows are held at a time."""
    pieces = _pieces(engine, recordings, task, window_s)
    for pool in _pools(pieces, engine.batch_size):
        requests = [_request(piece.recording, piece.window, task) for piece in pool if piece.window]
        attempts = iter(answer_with_fallback(engine, requests, sampling, fallback))
        for piece in pool:
            if piece.window:
                segment = _add(piece.recording, piece.window, next(attempts))
                if watch.segment:
                    watch.segment(piece.recording.path, segment)
            elif piece.error is None:
                yield _result(piece.recording)
            elif watch.refused:
                watch.refused(piece.recording.path, piece.error)
            else:
                raise piece.error


def language_probabilities(
    engine: Engine, waveform: Waveform, languages: tuple[str, ...], instruction: str = RECOGNISE
) -> dict[str, float]:
    """How probable each language's tag is as what the model says next; they sum to 1, the likeliest first."""
    request = Request(RawPrompt((Audio(), instruction)), (waveform,))
    logprobs = engine.score(request, [f" <|{language}|>" for language in languages])
    peak = max(logprobs)
    weights = [math.exp(logprob - peak) for logprob in logprobs]
    ranked = sorted(zip(languages, weights, strict=True), key=lambda pair: -pair[1])
    return {language: weight / sum(weights) for language, weight in ranked}


def path_of(recording: Source) -> str | None:
    """The name of a recording that has one."""
    return str(recording) if isinstance(recording, str | Path) else None


def _pieces(engine: Engine, recordings: Iterable[Source], task: Task, window_s: float) -> Iterator[_Piece]:
    for source in recordings:
        recording = _Recording(path_of(source), None if task.language == "auto" else task.language)
        for window in _windows(source, window_s):
            if isinstance(window, UserError):
                yield _Piece(recording, error=window)
                break
            if recording.language is None:
                recording.language, recording.probability = _likeliest_language(engine, window, task)
            recording.duration_s += window.waveform.duration_s
            yield _Piece(recording, window)
        else:
            yield _Piece(recording)


def _windows(source: Source, window_s: float) -> Iterator[Window | UserError]:
    """A recording's windows; what is wrong with it comes last. What is wrong with the engine is not caught here."""
    try:
        yield from stream_windows(source, longest_s=window_s)
    except UserError as error:
        yield error


def _likeliest_language(engine: Engine, window: Window, task: Task) -> tuple[str, float]:
    try:
        named = language_probabilities(engine, window.waveform, HEARD, task.instruction)
    except UserError as error:
        raise UserError(f"cannot find out the language: {error}, or name the language") from error
    return next(iter(named.items()))


def _pools(pieces: Iterator[_Piece], batch_size: int) -> Iterator[list[_Piece]]:
    """Pieces in order, as many at a time as make full batches without holding more than a batch of 30 s windows."""
    pool: list[_Piece] = []
    seconds = 0.0
    for piece in pieces:
        pool.append(piece)
        seconds += piece.window.waveform.duration_s if piece.window else 0.0
        if seconds >= batch_size * units.WINDOW_S or len(pool) >= _POOL * batch_size:
            yield pool
            pool, seconds = [], 0.0
    if pool:
        yield pool


def _request(recording: _Recording, window: Window, task: Task) -> Request:
    return Request(task.prompt(recording.language), (window.waveform,))


def _add(recording: _Recording, window: Window, attempt: Attempt) -> Segment:
    answer = attempt.answer
    text = _TAG.sub("", answer.text, count=1).strip()  # a tag that the model repeats is no word
    segment = Segment(
        start_s=window.start_s,
        end_s=window.end_s,
        text=drop_loop(text) if answer.finish_reason == "length" else text,
        logprob=mean_logprob(answer),
        num_tokens=answer.num_tokens,
        temperature=attempt.temperature,
        compression_ratio=compression_ratio(answer.text),
    )
    recording.segments.append(segment)
    recording.cut_off |= answer.finish_reason == "length"
    return segment


def _result(recording: _Recording) -> Result:
    joint = "" if recording.language in UNSPACED else " "
    return Result(
        path=recording.path,
        text=joint.join(segment.text for segment in recording.segments if segment.text),
        duration_s=recording.duration_s,
        num_tokens=sum(segment.num_tokens for segment in recording.segments),
        finish_reason="length" if recording.cut_off else "stop",
        language=recording.language,
        language_probability=recording.probability,
        segments=tuple(recording.segments),
    )
