"""A recording with stretches of speech, and a model that says how much of it it heard."""

import asyncio
import io
import threading
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from serving import PATIENCE_S, Running, ScriptedService, running
from starlette.requests import Request as HttpRequest

from auricle.audio import load
from auricle.conversation import Sampling
from auricle.engines import Request
from auricle.serve.speech.form import Form, read_form

EXAMPLES = Path(__file__).parents[2] / "examples" / "recordings"
PAUSE_S = 1.0


def speech() -> np.ndarray:
    """float32 [about 2 s] of somebody who speaks, at 16 kHz."""
    return load(EXAMPLES / "prompt.flac").samples[:30_000]


def spoken(num_stretches: int) -> np.ndarray:
    """That often the same words, pauses between."""
    pause = np.zeros(round(PAUSE_S * 16000), np.float32)
    return np.concatenate([part for _ in range(num_stretches) for part in (speech(), pause)])


def wav(samples: np.ndarray) -> bytes:
    """A file of 16-bit samples."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16000)
        writer.writeframes((samples * 32767).astype("<i2").tobytes())
    return file.getvalue()


def heard(request: Request, sampling: Sampling) -> Sequence[str]:
    """A text that another window would not have."""
    return ["Heard", f" {len(request.audios[0].samples)}", " samples."]


@contextmanager
def hearing_server(**settings: Any) -> Iterator[tuple[Running, ScriptedService]]:
    """A server around a service that says what it `heard`."""
    service = ScriptedService(said=heard)
    with running(service, **settings) as started:
        yield started, service


class Turns:
    """`said` for a service: no answer is said before the test lets it go; they are counted from 0 as they are asked."""

    def __init__(self, service: ScriptedService) -> None:
        self._asked = service.asked
        self._allowed = [threading.Event() for _ in range(9)]
        self.said: set[int] = set()

    def let_go(self, *numbers: int) -> None:
        """These answers, or all."""
        for number in numbers or range(len(self._allowed)):
            self._allowed[number].set()

    def __call__(self, request: Request, sampling: Sampling) -> Sequence[str]:
        [number] = [number for number, (asked, _) in enumerate(self._asked) if asked is request]
        if not self._allowed[number].wait(PATIENCE_S):
            raise TimeoutError("the test never let this answer go")
        self.said.add(number)
        return [f"part{number}"]


def form_of(
    body: bytes | Sequence[bytes], content_type: str = "multipart/form-data; boundary=B", *, most: float = 1e9
) -> Form:
    """`read_form` of a request whose body comes in these pieces."""
    pieces = [body] if isinstance(body, bytes) else list(body)
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", content_type.encode("latin-1"))]}
    return asyncio.run(read_form(HttpRequest(scope, receive), max_file_bytes=most))


def part(name: str, content: bytes | str, *, filename: str | None = None, more: str = "") -> bytes:
    """One part of a form with the boundary B."""
    named = f'; filename="{filename}"' if filename is not None else ""
    head = f'--B\r\nContent-Disposition: form-data; name="{name}"{named}\r\n{more}\r\n'
    return head.encode() + (content.encode() if isinstance(content, str) else content) + b"\r\n"


def multipart(*parts: bytes) -> bytes:
    """A whole form."""
    return b"".join(parts) + b"--B--\r\n"
