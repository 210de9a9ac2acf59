"""What has been said in one browser session on the analysis tab."""

import html
from dataclasses import dataclass

from auricle.assistant import question_about
from auricle.assistant.chat import Turn
from auricle.audio import Waveform
from auricle.engines import Request
from auricle.serve.page.parts import Said

_KEPT_TURNS = 20  # older ones are forgotten, with their recordings
_KEPT_S = 1200  # seconds of recordings that a browser session may hold in memory


@dataclass(slots=True)
class Conversation:
    """What has been said in one browser session.

    turns: oldest first. files: those that have been heard, so that a further question does not send them again.
    """

    turns: tuple[Turn, ...] = ()
    files: frozenset[str] = frozenset()

    def request(self, question: str, heard: tuple[Waveform, ...]) -> Request:
        """The next turn after all the others."""
        past = [message for turn in self.turns for message in turn.messages]
        audios = [audio for turn in self.turns for audio in turn.recordings]
        return Request((*past, *question_about(question, len(heard))), (*audios, *heard))

    def with_turn(self, turn: Turn, files: tuple[str, ...]) -> "Conversation":
        """Longer by a turn; the oldest go where it grows too large."""
        turns = (*self.turns, turn)[-_KEPT_TURNS:]
        while len(turns) > 1 and sum(a.duration_s for turn in turns for a in turn.recordings) > _KEPT_S:
            turns = turns[1:]
        return Conversation(turns, self.files | set(files))

    def forget(self) -> None:
        """Begin anew, for want of memory: recordings that are still there are heard again."""
        self.turns, self.files = (), frozenset()

    @property
    def num_bytes(self) -> int:
        """Of all recordings."""
        return sum(audio.samples.nbytes for turn in self.turns for audio in turn.recordings)

    @property
    def said(self) -> list[Said]:
        """For the chat window."""
        return [line for turn in self.turns for line in lines(turn.text, len(turn.recordings), turn.answer)]


def lines(question: str, num_recordings: int, answer: str) -> list[Said]:
    """One turn for the chat window, which takes text for HTML whatever it is told."""
    about = f"\n({num_recordings} recording{'s' if num_recordings > 1 else ''})" if num_recordings else ""
    return [
        {"role": "user", "content": html.escape(question + about, quote=False)},
        {"role": "assistant", "content": html.escape(answer, quote=False)},
    ]
