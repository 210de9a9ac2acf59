"""/v1/audio/transcriptions and /v1/audio/translations."""

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import cast

import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import Response

from auricle.assistant import Result, Segment, Watch, segment_delta
from auricle.audio import Decoded
from auricle.engines import GivenUpError
from auricle.errors import ContextError, UserError
from auricle.serve.gateway import Gateway
from auricle.serve.speech.answers import answer, delta_event, done_event
from auricle.serve.speech.form import FILE, Form, read_form
from auricle.serve.speech.openapi import described
from auricle.serve.speech.request import Wanted, transcription, translation
from auricle.serve.speech.schemas import TranscriptionForm, TranslationForm
from auricle.serve.speech.stream import HandedOver, TranscriptStream
from auricle.serve.visit import Visit
from auricle.serve.wire.errors import ApiError, to_api_error

_MB = 10**6
_NOBODY = Watch()


def routes(gateway: Gateway) -> APIRouter:
    """Its endpoints."""
    router = APIRouter(tags=["audio"])

    @router.post("/v1/audio/transcriptions", response_class=Response, **described(TranscriptionForm))
    async def transcriptions(request: Request) -> Response:
        """The words of a recording of any length, with the times of its stretches of speech."""
        return await _respond(gateway, request, transcription)

    @router.post("/v1/audio/translations", response_class=Response, **described(TranslationForm))
    async def translations(request: Request) -> Response:
        """What is said in a recording, in English or another language."""
        return await _respond(gateway, request, translation)

    return router


async def _respond(gateway: Gateway, request: Request, read: Callable[[Mapping[str, list[str]]], Wanted]) -> Response:
    form = await read_form(request, max_file_bytes=gateway.settings.max_upload_mb * _MB)
    try:
        wanted = read(form.texts)
        visit = await gateway.enter(request)
    except BaseException:
        form.recording.close()
        raise
    try:
        if wanted.stream:
            return await _stream(gateway, visit, request, form, wanted)
        response = await visit.run(request, lambda: answer(_transcribe(gateway, visit, form, wanted), wanted))
    except BaseException:
        visit.leave()
        raise
    visit.leave()
    return response


async def _stream(gateway: Gateway, visit: Visit, request: Request, form: Form, wanted: Wanted) -> Response:
    """The first event is waited for: what is wrong with a recording mostly shows by then, and has its HTTP status."""

    def work(hand: Callable[[str], None]) -> None:
        language = wanted.language  # auto, until one is found
        is_first = True

        def on_language(_: str | None, found: str) -> None:
            nonlocal language
            language = found

        def on_segment(_: str | None, segment: Segment) -> None:
            nonlocal is_first
            if segment.text:
                hand(delta_event(segment_delta(segment, is_first, language), segment, wanted))
                is_first = False

        watch = Watch(segment=on_segment, language=on_language)
        hand(done_event(_transcribe(gateway, visit, form, wanted, watch), wanted))

    following = HandedOver(work)
    try:
        first = await visit.run(request, following.__next__)
    except BaseException:
        following.close()
        raise
    return TranscriptStream(visit, request, first, following)


def _transcribe(gateway: Gateway, visit: Visit, form: Form, wanted: Wanted, watch: Watch = _NOBODY) -> Result:
    with form.recording:
        recording = gateway.decoder.decode(form.recording, form.name)
        with closing(_blocks(recording, visit)) as blocks:
            try:
                [result] = wanted.results(visit.assistant, Decoded(recording.name, lambda: blocks), watch)
            except ContextError as error:
                raise to_api_error(error).about("prompt") from error
            return result


def _blocks(recording: Decoded, visit: Visit) -> Generator[np.ndarray, None, None]:
    """A recording's sound, until the client leaves; what is wrong with it says which field it came in."""
    try:
        with closing(cast(Generator[np.ndarray, None, None], recording.blocks())) as blocks:
            for block in blocks:
                if visit.session.cancelled:
                    raise GivenUpError
                yield block
    except (UserError, ApiError) as error:
        raise to_api_error(error).about(FILE) from error
