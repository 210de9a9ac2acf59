"""The transcription tab: a recording of any length, its words segment by segment, subtitles to download."""

import html
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import gradio as gr

from auricle.assistant import Result, Segment, Watch, render_format
from auricle.assistant.languages import HEARD, language_name
from auricle.audio import Decoded
from auricle.engines import GivenUpError
from auricle.errors import UserError
from auricle.serve.page.parts import tell
from auricle.serve.page.picture import Heard, clock, draw, stamp
from auricle.serve.page.stay import Stay, Stays, sentence
from auricle.serve.page.uploads import Uploads

TAB = "transcription"
FORMATS = ("srt", "vtt", "txt", "json")
TRANSCRIBE, TRANSLATE = "Transcribe", "Translate"
_DRAW_EVERY_S = 2.0
_MORE = ("ar", "bg", "ca", "cs", "da", "el", "fi", "he", "hi", "hu", "id", "nl", "no", "pl", "pt", "ro", "ru", "sv")
LANGUAGES = tuple(sorted((language_name(code), code) for code in (*HEARD, *_MORE, "th", "tr", "uk", "vi")))


@dataclass(frozen=True, slots=True)
class Task:
    """What the person chose: the language spoken, or auto; the language to write, or None for the one spoken."""

    language: str
    to: str | None


@dataclass(frozen=True, slots=True)
class Progress:
    """One more segment, and now and then a new picture of all that was heard."""

    segment: Segment
    picture: str | None


def transcribed(stay: Stay, uploads: Uploads, path: str, task: Task) -> Iterator[Progress | Result | str]:
    """Segments as they are ready, the result, then its picture; blocks.

    Raises:
        UserError: the recording cannot be heard.
        GivenUpError: it was stopped.
    """
    events: SimpleQueue[Progress | Result | str | Exception] = SimpleQueue()

    def work() -> None:
        heard, drawn = Heard(), 0.0

        def note(path: str | None, segment: Segment) -> None:
            nonlocal drawn
            picture = None
            if time.monotonic() - drawn > _DRAW_EVERY_S:
                picture, drawn = draw(heard, name), time.monotonic()
            events.put(Progress(segment, picture))

        try:
            with uploads.recording(path, stay, heard) as source:
                name = source.name
                result = _result(stay, source, task, Watch(segment=note))
            events.put(replace(result, path=name))
            events.put(draw(heard, name))
        except Exception as error:
            events.put(error)

    threading.Thread(target=work, name="auricle-page", daemon=True).start()
    while True:
        event = events.get()
        if isinstance(event, Exception):
            raise event
        yield event
        if isinstance(event, str):
            return


def _result(stay: Stay, source: Decoded, task: Task, watch: Watch) -> Result:
    assistant = stay.visit.assistant
    if task.to is None:
        return next(assistant.transcribe_each([source], language=task.language, watch=watch))
    return next(assistant.translate_each([source], to=task.to, language=task.language, watch=watch))


def listing(segments: Sequence[Segment]) -> str:
    """The words so far, each segment with the time it starts at."""
    rows = "".join(
        f"<li><time>{stamp(segment.start_s)}</time> <span>{html.escape(segment.text)}</span></li>"
        for segment in segments
        if segment.text
    )
    return f'<ol class="segments">{rows}</ol>' if rows else ""


def so_far(path: str, segments: Sequence[Segment]) -> Result:
    """What there is of a transcript that was stopped."""
    duration_s = segments[-1].end_s if segments else 0.0
    text = " ".join(segment.text for segment in segments if segment.text)
    num_tokens = sum(segment.num_tokens for segment in segments)
    return Result(Path(path).name, text, duration_s, num_tokens, "length", segments=tuple(segments))


def write_files(result: Result, folder: Path) -> list[str]:
    """The transcript in each of FORMATS, named after the recording, in a directory of their own; their paths."""
    place = Path(tempfile.mkdtemp(dir=folder))
    stem = Path(result.path or "transcript").stem or "transcript"
    paths = []
    for name in FORMATS:
        path = place / f"{stem}.{name}"
        path.write_text(render_format(result, name), encoding="utf-8", newline="\n")
        paths.append(str(path))
    return paths


class Transcription:
    """The handlers behind the tab's controls."""

    def __init__(self, stays: Stays, uploads: Uploads, folder: Path) -> None:
        self._stays = stays
        self._uploads = uploads
        self._folder = folder

    async def start(
        self, path: str | None, task: str, language: str, to: str, request: gr.Request
    ) -> AsyncIterator[tuple[Any, ...]]:
        """Transcribe; updates of (text, picture, status, one download for each of FORMATS)."""
        skip = gr.skip()
        nothing, same = [gr.update(value=None, visible=False)] * len(FORMATS), [skip] * len(FORMATS)
        chosen = Task(language, to if task == TRANSLATE else None)
        segments: list[Segment] = []
        result: Result | None = None
        yield "", "", tell("Waiting for a turn …"), *nothing
        try:
            if not path:
                raise UserError("add a recording first")
            async with self._stays.stay(str(request.session_hash), TAB) as stay:
                yield skip, skip, tell("Listening …"), *same
                async for event in stay.visit.stream(lambda: transcribed(stay, self._uploads, path, chosen)):
                    if isinstance(event, Progress):
                        segments.append(event.segment)
                        at = tell(f"Heard {clock(event.segment.end_s)} so far …")
                        yield listing(segments), event.picture or skip, at, *same
                    elif isinstance(event, Result):
                        result = event
                    else:
                        yield skip, event, skip, *same
            status = tell(_summary(result))
        except Exception as error:
            status = tell(sentence(error), alarm=not isinstance(error, GivenUpError))
        if result is None and segments and path:
            result = so_far(path, segments)
        files = [] if result is None else write_files(result, self._folder)
        yield skip, skip, status, *([gr.update(value=file, visible=True) for file in files] or same)

    async def stop(self, request: gr.Request) -> None:
        """End it; what was written so far can be downloaded."""
        self._stays.stop(str(request.session_hash), TAB)


def _summary(result: Result | None) -> str:
    if result is None or not result.text:
        return "Done. No speech was found."
    spoken = f" of {language_name(result.language)}" if result.language else ""
    return f"Done: {clock(result.duration_s)}{spoken}."
