"""Voice chats made livelier from what is there: many turns, answers cut short, hesitation before a question."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from auricle.conversation import Audio, Message
from auricle.data.records import Dialogue, Labelled, Record, Recording
from auricle.data.settings import VoiceSettings
from auricle.data.survey import planned_s

# What people say while they think, in the languages of the published model.
_HESITATIONS = (
    "um uh uhm er erm hm hmm mm mhm ah eh äh ähm euh heu ehm este eeh 嗯 呃 啊 えっと えーと あの うーん 음 어"
)
HESITATIONS = frozenset(_HESITATIONS.split())


def interrupted(dialogue: Dialogue, rng: np.random.Generator) -> Dialogue:
    """The user cuts in: one answer that another turn of the user follows ends after some of its words.

    The cut answer is read but not learnt, because the user ended it: learning it would teach to stop mid-sentence.
    All later answers are learnt as before. A conversation in which no answer of two words or more is followed by an
    answer that counts comes back as it is.
    """
    places = [place for place, message in enumerate(dialogue.messages) if message.role == "assistant"]
    counted = list(dialogue.supervised or (True,) * len(places))
    texts = ["".join(part for part in dialogue.messages[place].content if isinstance(part, str)) for place in places]
    candidates = [n for n in range(len(places) - 1) if len(_cuts(texts[n])) and any(counted[n + 1 :])]
    if not candidates:
        return dialogue
    chosen = candidates[int(rng.integers(len(candidates)))]
    cuts = _cuts(texts[chosen])
    said = texts[chosen][: cuts[int(rng.integers(len(cuts)))]]
    messages = list(dialogue.messages)
    messages[places[chosen]] = Message("assistant", (said,))
    counted[chosen] = False
    return replace(dialogue, messages=tuple(messages), supervised=tuple(counted))


def _cuts(text: str) -> list[int]:
    """Where an answer may be cut: after each word but the last; after each letter where no spaces divide words."""
    ends = [place for place in range(1, len(text)) if text[place].isspace() and not text[place - 1].isspace()]
    ends = [place for place in ends if text[place:].strip()]
    return ends if ends or text.isascii() else list(range(1, len(text)))


def with_filler(dialogue: Dialogue, filler: Recording, rng: np.random.Generator) -> Dialogue:
    """A recording of hesitation before the recording of one of the user's turns, in the same turn.

    The two are heard one after another as two recordings; sounds are never joined here, because a record names files.
    """
    turns = [
        place
        for place, message in enumerate(dialogue.messages)
        if message.role == "user" and any(isinstance(part, Audio) for part in message.content)
    ]
    if not turns:
        return dialogue
    chosen = turns[int(rng.integers(len(turns)))]
    before = sum(isinstance(part, Audio) for message in dialogue.messages[:chosen] for part in message.content)
    messages = list(dialogue.messages)
    messages[chosen] = Message("user", (Audio(), *messages[chosen].content))
    recordings = (*dialogue.recordings[:before], filler, *dialogue.recordings[before:])
    return replace(dialogue, messages=tuple(messages), recordings=recordings)


def joined(dialogues: Sequence[Dialogue], limits: VoiceSettings) -> Dialogue:
    """One conversation of several, as a person who asks about one thing after another; `where` is the first's.

    One that begins with another system prompt than the first's, or that would make it longer than the limits allow,
    is left out.
    """
    whole = dialogues[0]
    for other in dialogues[1:]:
        is_long = _num_turns(whole) + _num_turns(other) > limits.most_turns or (
            planned_s(whole.recordings) + planned_s(other.recordings) > limits.longest_s
        )
        if is_long or _system(other) != _system(whole):
            continue
        messages = [message for message in other.messages if message.role != "system"]
        whole = replace(
            whole,
            messages=(*whole.messages, *messages),
            recordings=(*whole.recordings, *other.recordings),
            supervised=(*_marks(whole), *_marks(other)),
        )
    return whole


def _num_turns(dialogue: Dialogue) -> int:
    return sum(message.role == "user" for message in dialogue.messages)


def _system(dialogue: Dialogue) -> tuple[str | Audio, ...] | None:
    first = dialogue.messages[0]
    return first.content if first.role == "system" else None


def _marks(dialogue: Dialogue) -> tuple[bool, ...]:
    return dialogue.supervised or (True,) * sum(message.role == "assistant" for message in dialogue.messages)


def hesitation(record: Record) -> Recording | None:
    """The recording of a transcript of one to three words that are nothing but hesitation; None for all else."""
    if not isinstance(record, Labelled) or record.task != "asr" or len(record.recordings) != 1:
        return None
    words = re.findall(r"\w+", record.target.casefold())
    return record.recordings[0] if 0 < len(words) <= 3 and HESITATIONS.issuperset(words) else None
