"""The analysis tab: recordings, a question, an answer that streams, and further questions."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from auricle import units
from auricle.assistant.chat import Turn
from auricle.audio import Waveform
from auricle.conversation import Sampling
from auricle.engines import GivenUpError
from auricle.errors import UserError
from auricle.serve.page.conversation import Conversation, lines
from auricle.serve.page.memory import Memory
from auricle.serve.page.parts import tell
from auricle.serve.page.picture import Heard, draw
from auricle.serve.page.stay import Stay, Stays, sentence
from auricle.serve.page.uploads import Uploads

TAB = "analysis"
QUESTIONS = (
    "What is said?",
    "Who speaks, and in which mood?",
    "Which sounds can be heard?",
    "Summarise the recording.",
)


@dataclass(frozen=True, slots=True)
class Listened:
    """All recordings of a turn are decoded."""

    heard: tuple[Waveform, ...]
    pictures: str


def settings(defaults: Sampling, temperature: float, max_tokens: float) -> Sampling:
    """The model's own, with what the person chose; greedy where the temperature is 0."""
    return replace(defaults, temperature=float(temperature), max_new_tokens=int(max_tokens), num_beams=1)


def answered(
    stay: Stay, uploads: Uploads, past: Conversation, question: str, files: tuple[str, ...], sampling: Sampling
) -> Iterator[Listened | str]:
    """First what was listened to, then the pieces of the answer; blocks."""
    if not question.strip():
        raise UserError("type a question first")
    if not files and not past.turns:
        raise UserError("add a recording first")
    heard, pictures = [], []
    for path in files:
        noted = Heard()
        heard.append(uploads.whole(path, stay, noted))
        pictures.append(draw(noted, path.rsplit("/", 1)[-1]))
    yield Listened(tuple(heard), "".join(pictures))
    yield from stay.visit.session.stream(past.request(question, tuple(heard)), sampling)


class Analysis:
    """The handlers behind the tab's controls."""

    def __init__(self, stays: Stays, uploads: Uploads, memory: Memory, defaults: Sampling) -> None:
        self._memory = memory
        self._stays = stays
        self._uploads = uploads
        self._defaults = defaults

    async def ask(
        self,
        question: str,
        files: list[str] | None,
        recorded: str | None,
        past: Conversation,
        temperature: float,
        max_tokens: float,
        request: gr.Request,
    ) -> AsyncIterator[tuple[Any, ...]]:
        """Answer; updates of (chat, question, pictures, status, conversation)."""
        skip = gr.skip()
        question = question or ""
        new = tuple(path for path in (*(files or ()), *([recorded] if recorded else ())) if path not in past.files)
        listened, said = Listened((), ""), ""
        yield past.said, skip, skip, tell("Waiting for a turn …"), skip
        try:
            sampling = settings(self._defaults, temperature, max_tokens)
            async with self._stays.stay(str(request.session_hash), TAB) as stay:
                yield skip, skip, skip, tell("Listening …" if new else "Answering …"), skip
                async for item in stay.visit.stream(
                    lambda: answered(stay, self._uploads, past, question, new, sampling)
                ):
                    if isinstance(item, Listened):
                        listened = item
                        shown = item.pictures or skip
                        chat = past.said + lines(question, len(item.heard), "")[:1]
                        yield chat, "", shown, tell("Answering …" + _warning(item.heard)), skip
                    else:
                        said += item
                        yield past.said + lines(question, len(listened.heard), said), skip, skip, skip, skip
        except Exception as error:
            if not said:
                yield past.said, question, skip, tell(sentence(error), alarm=not isinstance(error, GivenUpError)), skip
                return
            status = tell(sentence(error), alarm=not isinstance(error, GivenUpError))
        else:
            status = tell("Done." + _warning(listened.heard))
        now = past.with_turn(Turn(question, listened.heard, said), new)
        self._memory.keep(str(request.session_hash), now)
        yield now.said, skip, skip, status, now

    async def stop(self, request: gr.Request) -> None:
        """End the answer; what was said so far stays."""
        self._stays.stop(str(request.session_hash), TAB)

    async def clear(self, request: gr.Request) -> tuple[Any, ...]:
        """Forget everything; values of (chat, question, pictures, status, conversation, files, recorded)."""
        self._stays.stop(str(request.session_hash), TAB)
        self._memory.leave(str(request.session_hash))
        return [], "", "", tell("Cleared."), Conversation(), None, None


def _warning(heard: tuple[Waveform, ...]) -> str:
    if all(waveform.duration_s <= units.WINDOW_S for waveform in heard):
        return ""
    return f" The model was trained to answer about {units.WINDOW_S} s at a time; expect weaker answers."
