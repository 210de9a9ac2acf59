"""Recordings of any length into words: window by window, many windows at once, each recording's result in order."""

import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from auricle import units
from auricle.assistant.fallback import Attempt, Fallback, compression_ratio, mean_logprob, try_again
from auricle.assistant.languages import HEARD
from auricle.assistant.loops import drop_loop
from auricle.assistant.result import Result, Segment, segment_delta
from auricle.audio import Source, VoiceActivity, Waveform, Window, Windows, stream_windows
from auricle.conversation import Audio, RawPrompt, Sampling
from auricle.engines import Engine, Request
from auricle.errors import UserError

# The prompts that the published base model is evaluated with; the tag after them names the language spoken.
RECOGNISE = "Detect the language and recognize the speech:"
TRANSLATE = "Detect the language and translate the speech into {}:"
_TAG = re.compile(r"\A\s*<\|([a-z]{2,3})\|>")


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
class Cuts:
    """Where recordings are cut.

    voice: what counts as speech; None hears all of a recording, cut at quiet points.
    longest_s: the longest window, 1 to 30 s.

    Raises:
        UserError: another length.
    """

    voice: VoiceActivity | None
    longest_s: float

    def __post_init__(self) -> None:
        if not 1 <= self.longest_s <= units.WINDOW_S:
            raise UserError(
                f"a window lasts 1 to {units.WINDOW_S} s: got {self.longest_s}; the encoder hears no more at once"
            )


@dataclass(frozen=True, slots=True)
class Watch:
    """Who wants to know meanwhile, by the recording's name.

    segment: of each as it is ready.
    language: the one that the model found by itself, before the first segment.
    refused: of each recording that cannot be heard; without it such a recording raises its UserError, after the
        results of those before it.
    """

    segment: Callable[[str | None, Segment], None] | None = None
    language: Callable[[str | None, str], None] | None = None
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
class _Heard:
    """One window of one recording, and what is asked about it."""

    recording: _Recording
    window: Window
    request: Request


@dataclass(frozen=True, slots=True)
class _End:
    """Nothing follows of a recording; `error` says why where it was not heard to its end.

    is_fatal: no other recording would fare better.
    """

    recording: _Recording
    error: UserError | None = None
    is_fatal: bool = False


class _Queue:
    """What is on its way through an engine, in order: windows, and the ends of recordings between them."""

    def __init__(self, pieces: Iterator[_Heard | _End], most_s: float) -> None:
        self._pieces = pieces
        self._most_s = most_s
        self._sent: deque[_Heard | _End] = deque()
        self._unsent: _Heard | None = None
        self._seconds = 0.0

    def requests(self) -> Iterator[Request]:
        """Until `most_s` seconds of sound wait for their answers; an engine that reads no further sees no end."""
        while self._seconds < self._most_s and (piece := self._read()):
            self._sent.append(piece)
            if isinstance(piece, _Heard):
                self._seconds += piece.window.waveform.duration_s
                yield piece.request

    def answered(self) -> _Heard:
        """The first window on its way, which is there now."""
        piece = self._sent.popleft()
        if isinstance(piece, _End):
            raise RuntimeError("the engine gave an answer that nobody asked for")
        self._seconds -= piece.window.waveform.duration_s
        return piece

    def ends(self) -> Iterator[_End]:
        """Those with no window on its way before them; where none is on its way at all, the next is looked for."""
        while piece := self._sent[0] if self._sent else self._read():
            if isinstance(piece, _Heard):
                self._unsent = None if self._sent else piece
                return
            if self._sent:
                self._sent.popleft()
            yield piece

    @property
    def goes_on(self) -> bool:
        """After `ends`: whether there is anything left to ask."""
        return self._unsent is not None

    def _read(self) -> _Heard | _End | None:
        piece, self._unsent = self._unsent, None
        return piece or next(self._pieces, None)


def recognise(
    engine: Engine,
    recordings: Iterable[Source],
    task: Task,
    cuts: Cuts,
    *,
    sampling: Sampling,
    fallback: Fallback,
    watch: Watch = NOBODY,
) -> Iterator[Result]:
    """Each recording's words, as soon as they are complete.

    Recordings are decoded while the engine asks for more, at most two of its batches of whole windows ahead of its
    answers; a window that has to be tried again is, before the next answer is taken.
    """
    queue = _Queue(_pieces(engine, recordings, task, cuts, watch), 2 * engine.batch_size * units.WINDOW_S)
    yield from _results(queue, watch)
    while queue.goes_on:
        for answer in engine.generate(queue.requests(), sampling):
            heard = queue.answered()
            segment = _add(heard, try_again(engine, heard.request, answer, sampling, fallback))
            if watch.segment:
                watch.segment(heard.recording.path, segment)
            yield from _results(queue, watch)


def _results(queue: _Queue, watch: Watch) -> Iterator[Result]:
    for end in queue.ends():
        if end.error is None:
            yield _result(end.recording)
        elif watch.refused and not end.is_fatal:
            watch.refused(end.recording.path, end.error)
        else:
            raise end.error


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


def _pieces(
    engine: Engine, recordings: Iterable[Source], task: Task, cuts: Cuts, watch: Watch
) -> Iterator[_Heard | _End]:
    for source in recordings:
        recording = _Recording(path_of(source), None if task.language == "auto" else task.language)
        windows = stream_windows(source, longest_s=cuts.longest_s, voice=cuts.voice)
        for window in _until_error(windows):
            if isinstance(window, UserError):
                yield _End(recording, window)
                break
            if recording.language is None:
                try:
                    _find_language(engine, recording, window, task, watch)
                except UserError as error:
                    yield _End(recording, error, is_fatal=True)
                    return
            yield _Heard(recording, window, Request(task.prompt(recording.language), (window.waveform,)))
        else:
            recording.duration_s = windows.duration_s
            yield _End(recording)


def _until_error(windows: Windows) -> Iterator[Window | UserError]:
    """A recording's windows; what is wrong with it comes last. What is wrong with the engine is not caught here."""
    try:
        yield from windows
    except UserError as error:
        yield error


def _find_language(engine: Engine, recording: _Recording, window: Window, task: Task, watch: Watch) -> None:
    try:
        named = language_probabilities(engine, window.waveform, HEARD, task.instruction)
    except UserError as error:
        raise UserError(f"cannot find out the language: {error}, or name the language") from error
    recording.language, recording.probability = next(iter(named.items()))
    if watch.language:
        watch.language(recording.path, recording.language)


def _add(heard: _Heard, attempt: Attempt) -> Segment:
    answer = attempt.answer
    text = _TAG.sub("", answer.text, count=1).strip()  # a tag that the model repeats is no word
    segment = Segment(
        start_s=heard.window.start_s,
        end_s=heard.window.end_s,
        text=drop_loop(text) if answer.finish_reason == "length" else text,
        logprob=mean_logprob(answer),
        num_tokens=answer.num_tokens,
        temperature=attempt.temperature,
        compression_ratio=compression_ratio(answer.text),
        speech_probability=heard.window.speech_probability,
        tokens=answer.tokens,
    )
    heard.recording.segments.append(segment)
    heard.recording.cut_off |= answer.finish_reason == "length"
    return segment


def _result(recording: _Recording) -> Result:
    text = ""
    for segment in recording.segments:
        text += segment_delta(segment, not text, recording.language)
    return Result(
        path=recording.path,
        text=text,
        duration_s=recording.duration_s,
        num_tokens=sum(segment.num_tokens for segment in recording.segments),
        finish_reason="length" if recording.cut_off else "stop",
        language=recording.language,
        language_probability=recording.probability,
        segments=tuple(recording.segments),
    )
