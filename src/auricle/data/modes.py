"""Stage 2: which mode a conversation is in, and records made into conversations to learn from.

Analysis, voice chat and interleaved turns are learnt together. Nothing marks the mode: no system prompt and no other
sign is added (the chat template puts its one default before every conversation, whatever the mode).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from auricle.conversation import Audio, Message
from auricle.data.prompts import Bank
from auricle.data.records import Dialogue, Example, Group, Labelled, Record, Recording
from auricle.data.source import Make, Source
from auricle.data.survey import even_samples, seen_in
from auricle.data.tasks import check, target_name
from auricle.data.voice_chat import VoiceSettings, interrupted, joined, with_filler
from auricle.errors import UserError

Kind = Literal["analysis", "voice chat", "interleaved", "text"]


def kind_of(dialogue: Dialogue) -> Kind:
    """The mode, told by the user's turns alone.

    `voice chat`: each is recordings and nothing else. `analysis`: each has text, and its recordings, if any, stand
    together. `interleaved`: any other with recordings: text between recordings, a recording between texts, or some
    turns spoken and others typed. `text`: no recording at all.
    """
    turns = [_shape(message) for message in dialogue.messages if message.role == "user"]
    if not any("a" in turn for turn in turns):
        return "text"
    if all(turn == "a" for turn in turns):
        return "voice chat"
    return "analysis" if all(turn in ("t", "at", "ta") for turn in turns) else "interleaved"


def _shape(message: Message) -> str:
    """`at` for recordings and then text; neighbours of a kind count once, blank text not at all."""
    letters = ["a" if isinstance(part, Audio) else "t" for part in message.content if _says(part)]
    return "".join(letter for place, letter in enumerate(letters) if place == 0 or letters[place - 1] != letter)


def _says(part: str | Audio) -> bool:
    return isinstance(part, Audio) or bool(part.strip())


def sft_make(
    bank: Bank,
    *,
    sources: Sequence[Source] = (),
    fillers: Sequence[Recording] = (),
    voice: VoiceSettings | None = None,
) -> Make:
    """Stage 2: a conversation as it is; a labelled recording under an instruction of the bank, another at each draw.

    A labelled recording of the task voice_chat is a spoken request and its target the reply: an audio-only turn.
    Voice chats are lengthened, interrupted and begun with a filler by chance.

    Args:
        bank: the wordings of instructions.
        sources: where the conversations that follow another come from; read once. Without any, none is joined.
        fillers: recordings of hesitation (`um`, `hmm`); without any, no turn begins with one.
        voice: the chances; None for the defaults.

    Raises:
        UserError: the Make: the record is a preference, a conversation without an answer that counts, or a labelled
            recording that lacks what its task needs.
    """
    return _Sft(bank, even_samples(seen_in(sources, _voice_chat)), tuple(fillers), voice or VoiceSettings())


@dataclass(frozen=True, slots=True)
class _Sft:
    bank: Bank
    chats: dict[str, list[Dialogue]]
    fillers: tuple[Recording, ...]
    voice: VoiceSettings

    def __call__(self, record: Record, rng: np.random.Generator) -> Group:
        dialogue = _as_dialogue(record)
        if dialogue is None and isinstance(record, Labelled):
            return (self._instructed(record, rng),)
        if dialogue is None:
            raise UserError(f"{record.where}: stage 2 learns from conversations; give a preference to dpo")
        _refuse_silent(dialogue)
        kind = kind_of(dialogue)
        if kind == "voice chat":
            dialogue = self._vary(dialogue, rng)
        return (
            Example(
                dialogue.messages, None, dialogue.recordings, record.where, record.source, kind, dialogue.supervised
            ),
        )

    def _vary(self, dialogue: Dialogue, rng: np.random.Generator) -> Dialogue:
        joins, interrupts, fills = rng.random(3) < (self.voice.join, self.voice.interrupt, self.voice.filler)
        others = [chat for chat in self.chats.get(dialogue.source, ()) if chat.id != dialogue.id]
        if joins and others:
            num_others = int(rng.integers(1, self.voice.most_turns))
            drawn = [others[i] for i in rng.permutation(len(others))[:num_others]]
            dialogue = joined([dialogue, *drawn], self.voice)
        if interrupts:
            dialogue = interrupted(dialogue, rng)
        if fills and self.fillers:
            dialogue = with_filler(dialogue, self.fillers[int(rng.integers(len(self.fillers)))], rng)
        return dialogue

    def _instructed(self, record: Labelled, rng: np.random.Generator) -> Example:
        task = check(record)
        if task.name not in self.bank:
            raise UserError(f"{record.where}: the prompt bank has no instructions for {task.name}; add them")
        if not record.target.strip():
            raise UserError(
                f"{record.where}: nothing is said, so there is no answer to learn; leave the line to stage 1"
            )
        instructions = self.bank[task.name].instructions
        text = instructions[int(rng.integers(len(instructions)))]
        if record.target_language is not None:
            text = text.replace("{target}", target_name(record.target_language, record.where))
        user = Message("user", (*(Audio() for _ in record.recordings), text))
        messages = (user, Message("assistant", (record.target,)))
        return Example(messages, None, record.recordings, record.where, record.source, task.name)


def _as_dialogue(record: Record) -> Dialogue | None:
    """Conversations, and labelled recordings of a spoken request and its reply; None for all else."""
    if isinstance(record, Dialogue):
        return record
    if not isinstance(record, Labelled) or check(record).name != "voice_chat":
        return None
    user = Message("user", tuple(Audio() for _ in record.recordings))
    messages = (user, Message("assistant", (record.target,)))
    return Dialogue(record.where, record.id, record.source, record.recordings, messages)


def _voice_chat(record: Record) -> tuple[str, Dialogue] | None:
    dialogue = _as_dialogue(record)
    return (dialogue.source, dialogue) if dialogue is not None and kind_of(dialogue) == "voice chat" else None


def _refuse_silent(dialogue: Dialogue) -> None:
    answers = [message for message in dialogue.messages if message.role == "assistant"]
    counted = dialogue.supervised or (True,) * len(answers)
    if len(counted) != len(answers):
        raise UserError(
            f"{dialogue.where}: {len(counted)} marks of what is learnt for {len(answers)} answers; expected one each"
        )
    if not any(counted):
        raise UserError(f"{dialogue.where}: no answer of the assistant counts, so nothing is learnt; add one")
