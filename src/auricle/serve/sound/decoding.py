"""Recordings are decoded in a process of their own, with limits on time and memory."""

import io
import logging
import shutil
import tempfile
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import BinaryIO

import numpy as np

from auricle import units
from auricle.audio import Decoded
from auricle.errors import UserError
from auricle.serve.settings import ServeSettings
from auricle.serve.sound import process as decoder_process
from auricle.serve.sound.workers import Limits, WorkerDiedError, Workers
from auricle.serve.wire.errors import ApiError

_LOG = logging.getLogger(__name__)
_NAME_LETTERS = 100
_LINE_BYTES = 1000


class Decoder:
    """Bytes that a stranger sent -> sound. FFmpeg never sees them in the server's own process."""

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._limits = Limits(settings.decode_memory_mb, settings.decode_timeout_s, settings.decode_timeout_s)
        self._places = threading.BoundedSemaphore(2 * settings.max_concurrency)
        self.workers = Workers()

    def start(self) -> None:
        """Start the process that decodes, so that the first recording need not wait for it."""
        self.workers.start()

    def decode(self, file: BinaryIO, name: str) -> Decoded:
        """A recording to give to the assistant as a source; it is decoded as it is heard, by any thread.

        The file is read from its start and must stay open until then. Its blocks raise UserError where it cannot be
        decoded, ApiError 413 where it is longer than the limit; where they are closed, its process is ended.
        """
        shown = _printable(name)[-_NAME_LETTERS:]
        return Decoded(shown, lambda: self._limited(file, shown))

    def close(self) -> None:
        """Stop the process."""
        self.workers.close()

    def _limited(self, file: BinaryIO, name: str) -> Generator[np.ndarray, None, None]:
        num_samples = 0
        with self._place(), closing(self._blocks(file, name)) as blocks:
            for block in blocks:
                num_samples += len(block)
                if num_samples > self._settings.max_duration_s * units.SAMPLE_RATE:
                    raise self._too_long(name)
                yield block

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Clients that left may have a recording decoded for a while yet: those are not too many either."""
        if not self._places.acquire(blocking=False):
            raise ApiError(
                429,
                "the server is busy: it decodes as many recordings as it may; try again later",
                code="rate_limit_exceeded",
                headers={"Retry-After": "1"},
            )
        try:
            yield
        finally:
            self._places.release()

    def _too_long(self, name: str) -> ApiError:
        return ApiError(413, f"{name} is longer than {self._settings.max_duration_s:g} s, the most this server takes")

    def _blocks(self, file: BinaryIO, name: str) -> Generator[np.ndarray, None, None]:
        limits, has_warned = self._limits, False
        try:
            with _descriptor(file) as descriptor, closing(self.workers.frames(descriptor, name, limits)) as frames:
                for letter, content in frames:
                    if letter == decoder_process.END:
                        return
                    if letter == decoder_process.STATED:
                        if _stated_s(content) > self._settings.max_duration_s:
                            raise self._too_long(name)
                    elif letter != decoder_process.WARNING:
                        yield _samples(letter, content)
                    elif not has_warned:  # one line of the log for each recording
                        has_warned = True
                        _LOG.warning("%s", _printable(content[:_LINE_BYTES].decode(errors="replace")))
        except TimeoutError:
            raise UserError(
                f"cannot decode {name}: its next second of sound took more than {limits.timeout_s:g} s; "
                "convert it to wav or flac"
            ) from None
        except (WorkerDiedError, MemoryError):
            raise UserError(
                f"cannot decode {name}: it breaks the decoder, or takes more than {limits.cpu_s:g} s or "
                f"{limits.memory_mb} MB; convert it to wav or flac"
            ) from None


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _samples(letter: bytes, content: bytes) -> np.ndarray:
    if letter == decoder_process.REFUSED:
        sentence = content[:_LINE_BYTES].decode(errors="replace")
        raise UserError(sentence)
    if letter != decoder_process.SOUND or len(content) % 4:
        raise WorkerDiedError
    return np.frombuffer(content, np.float32)


def _stated_s(content: bytes) -> float:
    if len(content) != decoder_process.DURATION.size:
        raise WorkerDiedError
    (stated_s,) = decoder_process.DURATION.unpack(content)
    return float(stated_s)


@contextmanager
def _descriptor(file: BinaryIO) -> Iterator[int]:
    """An open file's; what lies in memory is copied into one that has no name."""
    try:
        descriptor = file.fileno()  # a SpooledTemporaryFile moves to disk for it
    except io.UnsupportedOperation:
        with tempfile.TemporaryFile() as copy:
            file.seek(0)
            shutil.copyfileobj(file, copy)
            copy.flush()
            yield copy.fileno()
        return
    file.flush()
    yield descriptor
