"""multipart/form-data: the recording goes to disk as it comes, every other part is a short text."""

from collections.abc import Callable
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect, Request

from auricle.engines import GivenUpError
from auricle.serve.wire.errors import ApiError
from auricle.serve.wire.schemas import shown

FILE = "file"
_IN_MEMORY_BYTES = 2**20  # of a recording; a longer one lies on disk
_MAX_PARTS = 100
_MAX_TEXT_BYTES = 2**18  # all texts together
_NAME_LETTERS = 80


@dataclass(frozen=True, slots=True)
class Form:
    """What a client sent.

    texts: of every field, in the order they came.
    recording: a binary file at its start, which whoever reads it closes.
    name: what messages call the recording.
    """

    texts: dict[str, list[str]]
    recording: BinaryIO
    name: str


@dataclass(slots=True)
class _Part:
    """One part: a text in memory, or the recording."""

    name: str = ""
    filename: str | None = None
    text: bytearray = field(default_factory=bytearray)
    upload: UploadFile | None = None


class _Parts:
    """What the parser calls; nothing here waits or writes, so that the event loop may drive it."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.to_write: list[tuple[UploadFile, bytes]] = []
        self.ended = False
        self._headers: dict[bytes, bytes] = {}
        self._header, self._value = b"", b""
        self._num_text_bytes = 0

    def callbacks(self) -> dict[str, Callable[..., None]]:
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_end": self._on_end,
        }

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header, self._value = b"", b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if b"name" not in options:
            raise ApiError(400, "a part of the form has no name; expected Content-Disposition: form-data; name=...")
        if len(self.parts) == _MAX_PARTS:
            raise ApiError(400, f"the form has more than {_MAX_PARTS} parts; leave some out")
        part = _Part(_shown(options[b"name"]))
        if b"filename" in options:
            part.filename = _shown(options[b"filename"])
        if part.name == FILE and not any(other.upload for other in self.parts):
            file = SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115  the reader of the form closes it
            part.upload = UploadFile(cast(BinaryIO, file), size=0, filename=part.filename)
        self.parts.append(part)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self.parts[-1]
        if part.upload:
            self.to_write.append((part.upload, data[start:end]))
        elif part.filename is None and part.name != FILE:  # others are refused, and need not be kept
            self._num_text_bytes += end - start
            if self._num_text_bytes > _MAX_TEXT_BYTES:
                raise ApiError(413, f"the form's texts are longer than {_MAX_TEXT_BYTES} bytes", param=part.name)
            part.text += data[start:end]

    def _on_end(self) -> None:
        self.ended = True

    def close(self) -> None:
        for part in self.parts:
            if part.upload:
                part.upload.file.close()


async def read_form(request: Request, *, max_file_bytes: float) -> Form:
    """The whole form of a request.

    Raises:
        ApiError: 400, it is no form, is damaged, holds no recording or holds what is no text; 413, it is too large.
        GivenUpError: the client left.
    """
    parts = _Parts()
    try:
        parser = _parser(request.headers.get("Content-Type", ""), parts)
        async for data in request.stream():
            parser.write(data)
            for upload, piece in parts.to_write:
                await upload.write(piece)
                if upload.size and upload.size > max_file_bytes:
                    megabytes = max_file_bytes / 10**6
                    raise ApiError(413, f"the recording is larger than {megabytes:g} MB, the limit here", param=FILE)
            parts.to_write.clear()
        parser.finalize()
        return _form(parts)
    except FormParserError as error:
        parts.close()
        raise ApiError(400, f"the form is damaged: {error}; expected multipart/form-data") from error
    except ClientDisconnect:
        parts.close()
        raise GivenUpError from None
    except BaseException:
        parts.close()
        raise


def _parser(content_type: str, parts: _Parts) -> MultipartParser:
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise ApiError(
            415, f"the body is of type {shown(content_type)}, expected multipart/form-data with a boundary; send a form"
        )
    return MultipartParser(options[b"boundary"], parts.callbacks())  # type: ignore[arg-type]


def _form(parts: _Parts) -> Form:
    if not parts.ended:
        raise ApiError(400, "the form ends before its last boundary; send it whole")
    texts: dict[str, list[str]] = {}
    recordings = [part for part in parts.parts if part.name == FILE]
    for part in parts.parts:
        if part.name != FILE:
            texts.setdefault(part.name, []).append(_text(part))
    if not recordings:
        raise ApiError(
            400, "the form has no recording; send it as `file`", param=FILE, code="missing_required_parameter"
        )
    if len(recordings) > 1:
        raise ApiError(400, "the form has several recordings; send one as `file`, and a request for each", param=FILE)
    upload = cast(UploadFile, recordings[0].upload)
    if not upload.size:
        raise ApiError(400, "the recording is empty (0 bytes), expected an audio file", param=FILE)
    upload.file.seek(0)
    name = (upload.filename or "").replace("\\", "/").rpartition("/")[2]
    return Form(texts, upload.file, name[-_NAME_LETTERS:] or "the recording")


def _text(part: _Part) -> str:
    if part.filename is not None:
        raise ApiError(400, f"{part.name} is a file, expected a text; send it without a file name", param=part.name)
    try:
        return part.text.decode()
    except UnicodeDecodeError:
        raise ApiError(400, f"{part.name} is not valid UTF-8; expected a text", param=part.name) from None


def _shown(name: bytes) -> str:
    """A name that a stranger chose, as messages may show it."""
    text = name.decode(errors="replace")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
