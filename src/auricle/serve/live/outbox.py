"""What the logic of a connection asks for: events to send, work to start, work to stop, an end."""

from dataclasses import dataclass

from auricle.serve.live.events import Event
from auricle.serve.live.jobs import Job


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody waits for this job any more."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Close:
    """Nothing follows. code: RFC 6455's."""

    code: int
    reason: str


Out = Event | Job | Cancel | Close
