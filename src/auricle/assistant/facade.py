"""load -> Assistant; transcribe and ask take one recording or many."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from auricle.assistant.device import choose_device, choose_dtype
from auricle.assistant.loops import drop_loop
from auricle.audio import Source, Waveform, cut_windows
from auricle.audio import load as load_audio
from auricle.conversation import Answer, Audio, FinishReason, Message, RawPrompt, Sampling
from auricle.engines import Engine, NativeEngine, Request
from auricle.errors import UserError
from auricle.weights import locate, read_checkpoint

# The prompt that the published base model is evaluated with; the tag after it names the language.
RECOGNISE = "Detect the language and recognize the speech:"
_TAG = re.compile(r"\A\s*<\|([a-z]{2,3})\|>")
_LANGUAGE = re.compile(r"[a-z]{2,3}|auto")
GREEDY = Sampling()


@dataclass(frozen=True, slots=True)
class Result:
    """What the model says about one recording, or to a question without one (path None, 0 s).

    `finish_reason` is "length" where any part of the answer reached max_new_tokens.
    """

    path: str | None
    text: str
    duration_s: float
    num_tokens: int
    finish_reason: FinishReason
    language: str | None = None


class Assistant:
    """A model that hears. Recordings are paths, bytes of a file, or `(array, rate)`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @overload
    def transcribe(self, recording: Source, *, language: str = ..., sampling: Sampling = ...) -> Result: ...
    @overload
    def transcribe(self, recording: list[Source], *, language: str = ..., sampling: Sampling = ...) -> list[Result]: ...
    def transcribe(
        self, recording: Source | list[Source], *, language: str = "en", sampling: Sampling = GREEDY
    ) -> Result | list[Result]:
        """The words of one recording, or of each in a list, in the same order.

        Longer recordings are cut into windows of at most 30 s at quiet points.

        Args:
            recording: a path, bytes, `(array, rate)`, or a list of them.
            language: an ISO code such as `en`, or `auto` to let the model name it.
            sampling: greedy unless stated.

        Raises:
            UserError: a recording cannot be heard; the sentence says which and why.
        """
        if isinstance(recording, list):
            return list(self.transcribe_each(recording, language=language, sampling=sampling))
        return next(self.transcribe_each([recording], language=language, sampling=sampling))

    def transcribe_each(
        self, recordings: Iterable[Source], *, language: str = "en", sampling: Sampling = GREEDY
    ) -> Iterator[Result]:
        """As `transcribe`, each result as soon as it is ready."""
        prompt = RawPrompt((Audio(), _recognise(language)))
        pending: list[tuple[str | None, float, int]] = []

        def requests() -> Iterator[Request]:
            for recording in recordings:
                waveform = load_audio(recording)
                windows = cut_windows(waveform)
                pending.append((_path(recording), waveform.duration_s, len(windows)))
                yield from (Request(prompt, (window,)) for window in windows)

        refused: list[UserError] = []
        answers = self.engine.generate(_until_refused(requests(), refused), sampling)
        for answer in answers:
            path, duration_s, num_windows = pending.pop(0)
            parts = [answer, *(next(answers) for _ in range(num_windows - 1))]
            yield _transcript(path, duration_s, parts, language)
        if refused:
            raise refused[0]

    @overload
    def ask(self, question: str, recording: Source | None = ..., *, sampling: Sampling = ...) -> Result: ...
    @overload
    def ask(self, question: str, recording: list[Source], *, sampling: Sampling = ...) -> list[Result]: ...
    def ask(
        self, question: str, recording: Source | list[Source] | None = None, *, sampling: Sampling = GREEDY
    ) -> Result | list[Result]:
        """Answer a question about one recording, about each in a list, or without any.

        Args:
            question: what the user types.
            recording: a path, bytes, `(array, rate)`, a list of them, or None for a question in text alone.
            sampling: greedy unless stated.

        Raises:
            UserError: a recording cannot be heard, or is too long for the model's context.
        """
        if recording is None:
            return _result(None, 0.0, next(self.engine.generate([_question(question, None)], sampling)))
        if isinstance(recording, list):
            return list(self.ask_each(question, recording, sampling=sampling))
        return next(self.ask_each(question, [recording], sampling=sampling))

    def ask_each(self, question: str, recordings: Iterable[Source], *, sampling: Sampling = GREEDY) -> Iterator[Result]:
        """As `ask`, each result as soon as it is ready."""
        pending: list[tuple[str | None, float]] = []

        def requests() -> Iterator[Request]:
            for recording in recordings:
                waveform = load_audio(recording)
                pending.append((_path(recording), waveform.duration_s))
                yield _question(question, waveform)

        refused: list[UserError] = []
        for answer in self.engine.generate(_until_refused(requests(), refused), sampling):
            path, duration_s = pending.pop(0)
            yield _result(path, duration_s, answer)
        if refused:
            raise refused[0]

    def stream(self, question: str, recording: Source | None = None, *, sampling: Sampling = GREEDY) -> Iterator[str]:
        """The answer to a question piece by piece; joined it is `ask`'s text, white space at the ends apart."""
        waveform = None if recording is None else load_audio(recording)
        return self.engine.stream(_question(question, waveform), sampling)


def load(model: str | Path = "mini", *, dtype: str = "auto", device: str = "auto", batch_size: int = 8) -> Assistant:
    """A ready assistant.

    Args:
        model: `mini` (embedded), a checkpoint directory, or a hub id such as `Qwen/Qwen2-Audio-7B-Instruct`.
        dtype: `float32`, `bfloat16`, or `auto`: bfloat16 on CUDA, float32 elsewhere.
        device: `cpu`, `cuda`, `mps`, or `auto`: the fastest there is.
        batch_size: how many windows are answered at once.

    Raises:
        UserError: no such model, device or dtype, or a checkpoint whose tensors do not fit.
    """
    if batch_size < 1:
        raise UserError(f"batch_size must be at least 1: got {batch_size}")
    where = choose_device(device)
    checkpoint = read_checkpoint(locate(model), dtype=choose_dtype(dtype, where), device=where)
    return Assistant(NativeEngine(checkpoint, batch_size=batch_size))


def _until_refused(requests: Iterator[Request], refused: list[UserError]) -> Iterator[Request]:
    """The requests before the first recording that cannot be heard: a batch that it would share is answered first."""
    try:
        yield from requests
    except UserError as error:
        refused.append(error)


def _recognise(language: str) -> str:
    if not _LANGUAGE.fullmatch(language):
        raise UserError(f"unknown language {language!r}: expected an ISO code such as en or yue, or auto")
    return RECOGNISE if language == "auto" else f"{RECOGNISE} <|{language}|>"


def _question(question: str, waveform: Waveform | None) -> Request:
    if not question.strip():
        raise UserError("the question is empty; expected a text such as 'What is said?'")
    if waveform is None:
        return Request((Message("user", (question,)),))
    return Request((Message("user", (Audio(), question)),), (waveform,))


def _transcript(path: str | None, duration_s: float, parts: list[Answer], language: str) -> Result:
    """Windows' answers joined; a language tag that the model says first is taken off and reported."""
    tags = [match[1] for part in parts if (match := _TAG.match(part.text))]
    text = " ".join(filter(None, (_words(part) for part in parts)))
    named = language if language != "auto" else next(iter(tags), None)
    cut_off = any(part.finish_reason == "length" for part in parts)
    num_tokens = sum(part.num_tokens for part in parts)
    return Result(path, text, duration_s, num_tokens, "length" if cut_off else "stop", named)


def _words(part: Answer) -> str:
    """One window's words, without a language tag; a window that ran into its limit in a loop says the loop once."""
    text = _TAG.sub("", part.text, count=1).strip()
    return drop_loop(text) if part.finish_reason == "length" else text


def _result(path: str | None, duration_s: float, answer: Answer) -> Result:
    return Result(path, answer.text.strip(), duration_s, answer.num_tokens, answer.finish_reason)


def _path(recording: Source) -> str | None:
    return str(recording) if isinstance(recording, str | Path) else None


__all__ = ["Assistant", "Result", "load"]
