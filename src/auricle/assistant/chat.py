"""A conversation that remembers: text, recordings or both in, the answer piece by piece out."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from auricle.assistant.hear import hear
from auricle.audio import Source, Waveform
from auricle.conversation import Audio, Message, Sampling
from auricle.engines import Engine, Request
from auricle.errors import UserError


@dataclass(frozen=True, slots=True)
class Turn:
    """What the user said, and what the assistant said to it."""

    text: str
    recordings: tuple[Waveform, ...]
    answer: str

    @property
    def messages(self) -> tuple[Message, Message]:
        """The turn as the chat template's messages: the recordings first, then the text, as published examples do."""
        return _question(self.text, len(self.recordings)), Message("assistant", (self.answer,))


class Chat:
    """Many turns with one model. Every turn is answered with all earlier ones, their recordings included, in mind.

    system: how the model should behave; None is the published default. It may be changed between turns.
    sampling: of every answer; it may be changed between turns.
    """

    def __init__(self, engine: Engine, *, system: str | None = None, sampling: Sampling | None = None) -> None:
        self.system = system
        self.sampling = engine.defaults if sampling is None else sampling
        self._engine = engine
        self._turns: tuple[Turn, ...] = ()

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What has been said so far, oldest first."""
        return self._turns

    def say(self, text: str = "", recordings: Sequence[Source | Waveform] = ()) -> Generator[str, None, None]:
        """Take a turn; the pieces of its answer come as soon as each is certain.

        The turn joins the history when its answer is complete. When the answer is interrupted (the generator is closed,
        or Ctrl-C) the turn joins with what was said so far, or not at all if nothing was. After any error the history
        is as it was before.

        Args:
            text: what the user types; empty for a turn of recordings alone.
            recordings: heard in this order, before the text.

        Raises:
            UserError: nothing is said, a recording cannot be heard, or (from the first piece on) the conversation is
                too long for the model's context.
        """
        if not text.strip() and not recordings:
            raise UserError("nothing to answer: expected a text, a recording, or both")
        heard = tuple(hear(recording) for recording in recordings)
        return self._answer(text if text.strip() else "", heard)

    def undo(self) -> Turn:
        """Forget the last turn, and return it.

        Raises:
            UserError: there is none.
        """
        if not self._turns:
            raise UserError("nothing to undo: the conversation has no turns yet")
        *kept, last = self._turns
        self._turns = tuple(kept)
        return last

    def reset(self) -> None:
        """Forget every turn; the system prompt and the sampling stay."""
        self._turns = ()

    def _answer(self, text: str, heard: tuple[Waveform, ...]) -> Generator[str, None, None]:
        said: list[str] = []
        try:
            for piece in self._engine.stream(self._request(text, heard), self.sampling):
                said.append(piece)
                yield piece
        except (GeneratorExit, KeyboardInterrupt):
            if said:
                self._turns += (Turn(text, heard, "".join(said)),)
            raise
        self._turns += (Turn(text, heard, "".join(said)),)

    def _request(self, text: str, heard: tuple[Waveform, ...]) -> Request:
        system = () if self.system is None else (Message("system", (self.system,)),)
        past = tuple(message for turn in self._turns for message in turn.messages)
        audios = tuple(audio for turn in self._turns for audio in turn.recordings)
        return Request((*system, *past, _question(text, len(heard))), (*audios, *heard))


def _question(text: str, num_recordings: int) -> Message:
    return Message("user", (*[Audio()] * num_recordings, *([text] if text else [])))
