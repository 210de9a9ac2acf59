"""The microphone's side of a connection: the input buffer, turns of speech, and their words."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from auricle import units
from auricle.assistant.live import Guesser, Listener, Microphone, Stretch, StretchStarted
from auricle.audio.voice_activity import Probability
from auricle.errors import UserError
from auricle.serve.live.conversation import Item
from auricle.serve.live.events import event, invalid, new_id
from auricle.serve.live.jobs import Failed, Guess, Heard, Transcribe
from auricle.serve.live.outbox import Cancel, Out
from auricle.serve.live.schema import Input

_SHORTEST_SAMPLES = units.SAMPLE_RATE // 10  # a shorter commit is a mistake
_HEARD_SAMPLES = 2048  # at once: four chunks of the detector cost little more than one
_MOST_WAITING = 4  # transcripts; then the client is read no further
_NAME = "conversation.item.input_audio_transcription"


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the rest of the connection does.

    started: somebody speaks.
    committed: a turn of the user is there.
    stopped: the turn that was just committed ended because nobody spoke any more.
    """

    started: Callable[[], None]
    committed: Callable[[Item], None]
    stopped: Callable[[], None]


class Hearing:
    """Bytes in; events and jobs out. Reports of its jobs come back through `report`."""

    def __init__(
        self,
        out: Callable[[Out], None],
        hooks: Hooks,
        *,
        settings: Input,
        longest_s: float,
        probability: Probability | None,
    ) -> None:
        self._out = out
        self._hooks = hooks
        self._settings = settings
        self._microphone = Microphone(settings.format.encoding)
        self._listener = Listener(settings.voice, longest_s=longest_s, probability=probability)
        self._longest_s = longest_s
        self._unheard: list[np.ndarray] = []
        self._item_id = new_id("item")
        self._guesser = Guesser()
        self._guess: Guess | None = None
        self._transcripts: deque[tuple[Transcribe, Guesser]] = deque()

    @property
    def is_busy(self) -> bool:
        """Whether transcripts are on their way."""
        return bool(self._transcripts)

    @property
    def is_behind(self) -> bool:
        """Whether the client should be read no further for now."""
        return len(self._transcripts) >= _MOST_WAITING

    def configure(self, settings: Input) -> None:
        """From the next sample on; another turn detection forgets an open stretch."""
        self._hear_all()
        old, self._settings = self._settings, settings
        if settings.format != old.format:
            self._hear(self._microphone.finish())
            self._microphone = Microphone(settings.format.encoding)
        if settings.voice != old.voice:
            self._listener.listen_for(settings.voice)
            self._open_next()
        if settings.transcription is None:
            self._drop_guess()

    def append(self, data: bytes) -> None:
        """The next bytes.

        Raises:
            ApiError: half a sample, or the buffer is full; nothing of them is taken.
        """
        if self._listener.is_full:
            raise invalid(
                f"the buffer holds {self._longest_s:g} s, the most it takes; commit or clear it",
                code="input_audio_buffer_full",
            )
        try:
            samples = self._microphone.push(data)
        except UserError as error:
            raise invalid(str(error), param="audio", code="invalid_audio") from None
        self._unheard.append(samples)
        if sum(map(len, self._unheard)) >= _HEARD_SAMPLES:
            self._hear_all()

    def commit(self) -> None:
        """End the open stretch here.

        Raises:
            ApiError: less than 100 ms are there.
        """
        self._hear_all()
        num_samples = len(self._listener.open.waveform.samples)
        if num_samples < _SHORTEST_SAMPLES:
            raise invalid(
                f"the buffer holds {1000 * num_samples // units.SAMPLE_RATE} ms; a commit needs at least 100 ms",
                code="input_audio_buffer_commit_empty",
            )
        self._end(self._listener.take())

    def clear(self) -> None:
        """Forget what was not committed."""
        self._hear_all()
        self._listener.clear()
        self._open_next()
        self._out(event("input_audio_buffer.cleared", {}))

    def report(self, report: Heard | Failed) -> None:
        """What became of a job; those that were given up are not heard any more."""
        if self._guess is not None and report.job_id == self._guess.id:
            self._guess = None
            if isinstance(report, Heard):
                self._delta(self._item_id, self._guesser.hear(report.result))
        elif self._transcripts and report.job_id == self._transcripts[0][0].id:
            job, guesser = self._transcripts.popleft()
            self._finish(job, guesser, report)
            if self._transcripts:
                self._out(self._transcripts[0][0])

    def _hear_all(self) -> None:
        """What came since; portions of a few milliseconds would each cost what many of them do."""
        if self._unheard:
            samples = np.concatenate(self._unheard)
            self._unheard.clear()
            self._hear(samples)

    def _hear(self, samples: np.ndarray) -> None:
        for heard in self._listener.push(samples):
            if isinstance(heard, StretchStarted):
                at = {"audio_start_ms": _ms(heard.sample), "item_id": self._item_id}
                self._out(event("input_audio_buffer.speech_started", at))
                self._hooks.started()
            else:
                at = {"audio_end_ms": _ms(heard.stretch.end_sample), "item_id": self._item_id}
                self._out(event("input_audio_buffer.speech_stopped", at))
                self._end(heard.stretch)
                self._hooks.stopped()
        wanted = self._settings.transcription
        if wanted and self._guess is None and not self.is_busy and self._guesser.is_due(self._listener.num_open):
            self._guess = Guess(self._guesser.next(self._listener.open), wanted, self._item_id)
            self._out(self._guess)

    def _end(self, stretch: Stretch) -> None:
        item, guesser = Item("user", (stretch.waveform,), self._item_id), self._guesser
        self._open_next()
        self._hooks.committed(item)
        if wanted := self._settings.transcription:
            job = Transcribe(stretch.waveform, wanted, item.id)
            self._transcripts.append((job, guesser))
            if len(self._transcripts) == 1:
                self._out(job)

    def _open_next(self) -> None:
        self._drop_guess()
        self._item_id, self._guesser = new_id("item"), Guesser()

    def _drop_guess(self) -> None:
        if self._guess is not None:
            self._out(Cancel(self._guess.id))
            self._guess = None

    def _finish(self, job: Transcribe, guesser: Guesser, report: Heard | Failed) -> None:
        place = {"item_id": job.item_id, "content_index": 0}
        if isinstance(report, Failed):
            self._out(event(f"{_NAME}.failed", {**place, "error": report.error.body["error"]}))
            return
        self._delta(job.item_id, guesser.finish(report.result.text))
        usage = {"type": "duration", "seconds": round(job.waveform.duration_s, 3)}
        self._out(event(f"{_NAME}.completed", {**place, "transcript": report.result.text, "usage": usage}))

    def _delta(self, item_id: str, text: str) -> None:
        if text:
            self._out(event(f"{_NAME}.delta", {"item_id": item_id, "content_index": 0, "delta": text}))


def _ms(sample: int) -> int:
    return sample * 1000 // units.SAMPLE_RATE
