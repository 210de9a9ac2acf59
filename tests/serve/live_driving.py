"""One live session without network, clock, threads or model: a test hands it messages and does its jobs."""

import base64
import json
from typing import Any

import numpy as np
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from auricle.assistant import Result, Segment
from auricle.conversation import Answer, Sampling
from auricle.serve.live.jobs import Answered, Failed, Guess, Heard, Job, LeftOut, Respond, Said, Transcribe
from auricle.serve.live.outbox import Cancel, Close
from auricle.serve.live.schema import RealtimeSession, TranscriptionSession
from auricle.serve.live.session import Given, LiveSession

RATE = 24_000
_OPENAI = TypeAdapter(RealtimeServerEvent)
_TRANSCRIPTION = "conversation.item.input_audio_transcription"


def loudness(chunk: np.ndarray) -> float:
    """Loud sound is speech."""
    return float(np.abs(chunk).mean() > 0.1)


def tone(seconds: float, *, level: float = 0.5) -> bytes:
    """PCM16 at 24 kHz."""
    samples = level * np.sin(2 * np.pi * 300 * np.arange(round(seconds * RATE)) / RATE)
    return np.round(samples * 32767).astype("<i2").tobytes()


def silence(seconds: float) -> bytes:
    return tone(seconds, level=0.0)


TURN = [silence(0.5), tone(1.0), silence(0.8)]


def result(text: str, *, segments: tuple[tuple[float, float, str], ...] = ()) -> Result:
    """A transcript; one segment unless told."""
    parts = segments or ((0.0, 1.0, text),)
    made = tuple(Segment(start, end, part, -0.1, 3, 0.0, 1.0) for start, end, part in parts)
    return Result(None, text, 1.0, 3, "stop", "en", None, made)


class Driven:
    """events: all that was sent, each checked against OpenAI's own types. jobs: those that run, by their kind."""

    def __init__(self, kind: str = "realtime", **given: Any) -> None:
        settings = RealtimeSession() if kind == "realtime" else TranscriptionSession()
        self.session = LiveSession(settings, Given("mini", Sampling(), **{"probability": loudness, **given}))
        self.events: list[dict[str, Any]] = []
        self.jobs: dict[str, Job] = {}
        self.cancelled: list[str] = []
        self.closed: Close | None = None
        self._do(self.session.begin())

    def send(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """One event of the client -> what it was sent in turn."""
        return self.raw(json.dumps({"type": kind, **fields}))

    def raw(self, message: str | bytes) -> list[dict[str, Any]]:
        return self._do(self.session.take(message))

    def speak(self, *sounds: bytes, frame: int = 1920) -> list[dict[str, Any]]:
        """Sound in frames of 40 ms."""
        data, sent = b"".join(sounds), []
        for start in range(0, len(data), frame):
            audio = base64.b64encode(data[start : start + frame]).decode()
            sent += self.send("input_audio_buffer.append", audio=audio)
        return sent

    def update(self, **fields: Any) -> list[dict[str, Any]]:
        return self.send("session.update", session=fields)

    def running(self, kind: type[Job]) -> list[Any]:
        """The jobs of this kind that run."""
        return [job for job in self.jobs.values() if isinstance(job, kind)]

    def transcribed(self, text: str, **parts: Any) -> list[dict[str, Any]]:
        """The transcript of the turn that waits for one."""
        [job] = self.running(Transcribe)
        return self.done(Heard(job.id, result(text, **parts)))

    def guessed(self, text: str, **parts: Any) -> list[dict[str, Any]]:
        [job] = self.running(Guess)
        return self.done(Heard(job.id, result(text, **parts)))

    def says(self, *pieces: str) -> list[dict[str, Any]]:
        [job] = self.running(Respond)
        return [event for piece in pieces for event in self.report(Said(job.id, piece))]

    def forgets(self, *item_ids: str) -> list[dict[str, Any]]:
        [job] = self.running(Respond)
        return self.report(LeftOut(job.id, item_ids))

    def answered(self, text: str = "", *, finish_reason: Any = "stop") -> list[dict[str, Any]]:
        [job] = self.running(Respond)
        return self.done(Answered(job.id, Answer(text, 40, 5, finish_reason, -1.0), 25))

    def failed(self, kind: type[Job], error: Any) -> list[dict[str, Any]]:
        [job] = self.running(kind)
        return self.done(Failed(job.id, error))

    def done(self, report: Any) -> list[dict[str, Any]]:
        """The last report of a job."""
        self.jobs.pop(report.job_id, None)
        return self.report(report)

    def report(self, report: Any) -> list[dict[str, Any]]:
        return self._do(self.session.report(report))

    def stop(self) -> list[dict[str, Any]]:
        return self._do(self.session.stop())

    def _do(self, outs: list[Any]) -> list[dict[str, Any]]:
        sent = []
        for out in outs:
            if isinstance(out, dict):
                checked(out)
                sent.append(out)
            elif isinstance(out, Cancel):
                self.cancelled.append(out.job_id)
                self.jobs.pop(out.job_id, None)
            elif isinstance(out, Close):
                self.closed = out
            else:
                self.jobs[out.id] = out
        self.events += sent
        return sent


def checked(event: dict[str, Any]) -> None:
    """Refuse what OpenAI's types do not know; other rates than 24 kHz are our extension."""
    copy = json.loads(json.dumps(event, allow_nan=False))
    if copy["type"].startswith("session."):
        copy["session"]["audio"]["input"]["format"] = {"type": "audio/pcm", "rate": 24_000}
    _OPENAI.validate_python(copy)


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def of_type(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


def deltas(events: list[dict[str, Any]], kind: str = f"{_TRANSCRIPTION}.delta") -> str:
    return "".join(event["delta"] for event in of_type(events, kind))


def error(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The only event, which is an error."""
    [event] = events
    assert event["type"] == "error", event
    return event["error"]
