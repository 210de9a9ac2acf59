"""A request's messages as the engine takes them: its recordings heard, its turns plain."""

import base64
import binascii
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np

from auricle import units
from auricle.audio import Waveform
from auricle.audio.load import blocks
from auricle.conversation import Audio, Message, Role
from auricle.engines import GivenUpError, Request, Session
from auricle.errors import UserError
from auricle.serve.chat.messages import (
    AskingMessage,
    AssistantMessage,
    AudioUrlPart,
    InputAudioPart,
    RefusalPart,
    TextPart,
)
from auricle.serve.gateway import Gateway
from auricle.serve.status.models import context_tokens
from auricle.serve.wire.errors import ApiError, to_api_error

_ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_WHITESPACE = str.maketrans("", "", " \t\r\n")  # `base64` breaks its lines


def read_messages(messages: list[AskingMessage | AssistantMessage], gateway: Gateway, session: Session) -> Request:
    """The conversation with all its recordings in memory; blocks while they are fetched and decoded.

    Raises:
        ApiError: 400, a recording cannot be fetched or heard; `param` says which one.
        GivenUpError: the session was cancelled meanwhile.
    """
    listener = _Listener(gateway, session)
    turns, audios = [], []
    for number, message in enumerate(messages):
        content: list[str | Audio] = []
        parts = message.content if isinstance(message.content, list) else [message.content or ""]
        for index, part in enumerate(parts):
            if isinstance(part, InputAudioPart | AudioUrlPart):
                content.append(Audio())
                audios.append(listener.hear(part, f"messages[{number}].content[{index}]"))
            else:
                content.append(_text(part))
        turns.append(Message(_ROLES[message.role], tuple(content)))
    return Request(tuple(turns), tuple(audios))


def _text(part: str | TextPart | RefusalPart) -> str:
    if isinstance(part, str):
        return part
    return part.text if isinstance(part, TextPart) else part.refusal


class _Listener:
    """Recordings of one request; together they may not be longer than the model's context, or than one may be."""

    def __init__(self, gateway: Gateway, session: Session) -> None:
        self._gateway = gateway
        self._session = session
        self._longest_s = gateway.settings.max_duration_s
        self._limit = ApiError(413, f"the recordings are longer than {self._longest_s:g} s, the most this server takes")
        context = context_tokens(gateway.service)
        if context is not None and context / units.TOKENS_PER_S < self._longest_s:
            self._longest_s = context / units.TOKENS_PER_S
            self._limit = ApiError(
                400,
                f"the recordings are longer than {self._longest_s:g} s, the model's whole context of {context} tokens; "
                "give shorter ones",
                code="context_length_exceeded",
            )
        self._num_left = int(self._longest_s * units.SAMPLE_RATE)

    def hear(self, part: InputAudioPart | AudioUrlPart, place: str) -> Waveform:
        param = f"{place}.input_audio.data" if isinstance(part, InputAudioPart) else f"{place}.audio_url.url"
        try:
            with self._file(part) as file:
                return Waveform(np.concatenate(list(self._blocks(file, place))))
        except ApiError as error:
            raise error.about(param) from error
        except UserError as error:
            raise to_api_error(error).about(param) from error

    @contextmanager
    def _file(self, part: InputAudioPart | AudioUrlPart) -> Iterator[BinaryIO]:
        if isinstance(part, InputAudioPart):
            recording, most_mb = _decode(part.input_audio.data), self._gateway.settings.max_upload_mb
            if len(recording) > most_mb * 10**6:
                raise ApiError(413, f"the recording is larger than {most_mb} MB, the limit here; send less")
            yield io.BytesIO(recording)
            return
        with self._gateway.media.open(part.audio_url.url) as file:
            yield file

    def _blocks(self, file: BinaryIO, place: str) -> Iterator[np.ndarray]:
        for block in blocks(self._gateway.decoder.decode(file, place)):
            if self._session.cancelled:
                raise GivenUpError
            self._num_left -= len(block)
            if self._num_left < 0:
                raise self._limit
            yield block


def _decode(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        pass
    try:
        return base64.b64decode(data.translate(_WHITESPACE), validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError: letters beyond ASCII
        raise ApiError(400, f"the recording's data is not base64: {error}; send the file's bytes in base64") from None
