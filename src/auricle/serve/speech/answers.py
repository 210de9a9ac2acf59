"""A transcript or a translation in OpenAI's shapes; what we do not know is left empty, never invented."""

import math
from collections.abc import Iterable
from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from auricle.assistant import Result, Segment, render_format
from auricle.assistant.languages import language_name
from auricle.conversation import TokenLogprob
from auricle.errors import UserError
from auricle.serve.chat.answer import event
from auricle.serve.speech.request import Wanted
from auricle.serve.speech.schemas import (
    Logprob,
    TranscriptDelta,
    TranscriptDone,
    Transcription,
    TranscriptionSegment,
    TranscriptionVerbose,
    Usage,
)
from auricle.serve.wire.schemas import Given

_FRAMES_PER_S = 100  # what Whisper's `seek` counts
_RENDERED = ("srt", "vtt")
_INCOMPLETE = "\N{REPLACEMENT CHARACTER}"  # of a token that is a part of a character
_UNKNOWN_LANGUAGE = "undetermined"  # nobody spoke, and nobody named it


def answer(result: Result, wanted: Wanted) -> Response:
    """The whole answer, as its response_format says."""
    if wanted.response_format == "text":
        return PlainTextResponse(f"{result.text}\n" if result.text else "")
    if wanted.response_format in _RENDERED:
        return PlainTextResponse(render_format(result, wanted.response_format))
    if wanted.response_format == "verbose_json":
        return JSONResponse(_dumped(_verbose(result, wanted)))
    body = Transcription(text=result.text, usage=_usage(result), logprobs=_logprobs(result.segments))
    return JSONResponse(_dumped(body, wanted))


def delta_event(text: str, segment: Segment, wanted: Wanted) -> str:
    """More of a transcript, as a server-sent event."""
    return event(_dumped(TranscriptDelta(delta=text, logprobs=_logprobs([segment])), wanted))


def done_event(result: Result, wanted: Wanted) -> str:
    """The end of a streamed transcript, with all of it."""
    body = TranscriptDone(text=result.text, usage=_usage(result), logprobs=_logprobs(result.segments))
    return event(_dumped(body, wanted))


def _dumped(body: Given, wanted: Wanted | None = None) -> dict[str, Any]:
    left_out = {"logprobs"} if wanted and not wanted.has_logprobs else set()
    return body.model_dump(exclude=left_out)


def _verbose(result: Result, wanted: Wanted) -> TranscriptionVerbose:
    return TranscriptionVerbose(
        task="transcribe" if wanted.to is None else "translate",
        language=_spoken_language(result.language) if wanted.to is None else wanted.to.lower(),
        duration=round(result.duration_s, 3),
        text=result.text,
        segments=tuple(_segment(place, segment) for place, segment in enumerate(result.segments)),
        usage=_usage(result),
    )


def _segment(place: int, segment: Segment) -> TranscriptionSegment:
    speech = segment.speech_probability
    return TranscriptionSegment(
        id=place,
        seek=round(segment.start_s * _FRAMES_PER_S),
        start=round(segment.start_s, 3),
        end=round(segment.end_s, 3),
        text=segment.text,
        temperature=segment.temperature,
        avg_logprob=_finite(segment.logprob),
        compression_ratio=segment.compression_ratio,
        no_speech_prob=0.0 if speech is None else round(1 - speech, 6),
    )


def _logprobs(segments: Iterable[Segment]) -> tuple[Logprob, ...]:
    """Those of the segments that say something, so that a stream's are those of the whole."""
    return tuple(_logprob(token) for segment in segments if segment.text for token in segment.tokens)


def _logprob(token: TokenLogprob) -> Logprob:
    known = None if _INCOMPLETE in token.text else tuple(token.text.encode())
    return Logprob(token=token.text, bytes=known, logprob=_finite(token.logprob))


def _usage(result: Result) -> Usage:
    return Usage(seconds=round(result.duration_s, 3))


def _spoken_language(code: str | None) -> str:
    """OpenAI's word for a language: its English name in small letters."""
    if code is None:
        return _UNKNOWN_LANGUAGE
    try:
        return "chinese" if code == "zh" else language_name(code).lower()
    except UserError:
        return code  # one whose name we do not know


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None  # JSON knows neither NaN nor infinity
