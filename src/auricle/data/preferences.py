"""Acoustic confusions: preferences that only one who hears can have, made from recordings with transcripts."""

import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from auricle.conversation import Audio, Message
from auricle.data.records import Labelled, Preference, Record, Recording
from auricle.errors import UserError

TRANSCRIBE = (
    "Transcribe the recording.",
    "What is said?",
    "Write down what you hear, word for word.",
    "What does the speaker say?",
)
TONE = ("Is the speaker sincere or sarcastic?", "Does the speaker mean it?", "In which tone is this said?")
Length = Callable[[str], int]
"""A text -> its tokens."""


def plain(text: str) -> str:
    """A text for comparison: compatibility forms unified, no case, no punctuation, single spaces.

    Chinese characters and kana stand apart, so that each counts as a word.

    Worked example: "It's 3 PM, 你好!" -> "its 3 pm 你 好".
    """
    text = unicodedata.normalize("NFKC", text).casefold().replace("'", "").replace("’", "")
    return " ".join("".join(map(_plain_character, text)).split())


def length_matched(first: str, second: str, length: Length, tolerance: float) -> bool:
    """Whether two texts differ in tokens by at most that share of the longer one."""
    lengths = length(first), length(second)
    return abs(lengths[0] - lengths[1]) <= tolerance * max(lengths)


def swaps(
    records: Sequence[Labelled],
    length: Length,
    rng: np.random.Generator,
    *,
    tolerance: float = 0.1,
    instructions: Sequence[str] = TRANSCRIBE,
) -> list[Preference]:
    """Pairs of clips of one language whose transcripts have about as many tokens; each is rejected for the other.

    Every text is as often chosen as rejected, under the same words of the user: one who does not hear is right half
    the time. Every clip is used at most once; a clip without a partner, or without words, is left out.
    """
    pairs: list[tuple[Labelled, Labelled]] = []
    for language in sorted({record.language or "" for record in records}):
        mine = [r for r in records if (r.language or "") == language and r.task == "asr" and plain(r.target)]
        order = rng.permutation(len(mine))  # so that which of many equals meet is chance
        pairs += _partners(sorted((mine[place] for place in order), key=lambda r: length(r.target)), length, tolerance)
    found = []
    for one, other in pairs:
        instruction = str(rng.choice(list(instructions)))
        for heard, unheard in ((one, other), (other, one)):
            found.append(_preference(heard, instruction, unheard.target, f"swapped with {unheard.id}"))
    return found


def misheard(record: Labelled, said: str, instruction: str, length: Length, tolerance: float) -> Preference | None:
    """The transcript before what a model, or a rule, made of the recording; None where that is right, or of another
    length."""
    if plain(said) == plain(record.target) or not plain(record.target) or not plain(said):
        return None
    if not length_matched(record.target, said, length, tolerance):
        return None
    return _preference(record, instruction, said, "misheard")


def tones(
    records: Sequence[Labelled],
    rng: np.random.Generator,
    *,
    labels: tuple[str, str] = ("sincere", "sarcastic"),
    instructions: Sequence[str] = TONE,
) -> list[Preference]:
    """Recordings labelled with one of two tones, as many of each: the label before the other.

    Clips beyond the rarer tone's number are left out by chance, so that neither answer is right more often.
    """
    of = [[r for r in records if r.target.casefold() == label.casefold()] for label in labels]
    num = min(map(len, of))
    found = []
    for label_records, other in zip(of, labels[::-1], strict=True):
        for number, place in enumerate(rng.permutation(len(label_records))[:num]):
            instruction = instructions[number % len(instructions)]  # the same ones for both tones
            found.append(_preference(label_records[place], instruction, other, f"not {other}"))
    return found


def with_recordings(preference: Preference, recordings: tuple[Recording, ...], what: str) -> Preference:
    """The same question and answers to another version of the recordings, such as a noisy one."""
    return replace(preference, id=f"{preference.id}, {what}", recordings=recordings, rejected_recordings=None)


def write_preferences(preferences: Iterable[Preference], path: Path) -> int:
    """A manifest of them that every reader of ours and ms-swift understand -> how many."""
    lines = [json.dumps(to_line(one, path.parent), ensure_ascii=False) for one in preferences]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return len(lines)


def to_line(preference: Preference, folder: Path, more: Mapping[str, object] | None = None) -> dict[str, object]:
    """A line of a preference manifest that lies in `folder`; `more` stands beside it.

    Raises:
        UserError: a recording has no file of its own.
    """
    turns = [{"role": turn.role, "content": _written(turn)} for turn in preference.messages]
    line: dict[str, object] = {
        "id": preference.id,
        "source": preference.source,
        "messages": [*turns, {"role": "assistant", "content": preference.chosen}],
        "audios": _names(preference.recordings, folder, preference.where),
        "rejected_response": preference.rejected,
    }
    if preference.dimension is not None:
        line["dimension"] = preference.dimension
    if preference.rejected_recordings is not None:
        line["rejected_audios"] = _names(preference.rejected_recordings, folder, preference.where)
    return line | dict(more or {})


def check_files(records: Iterable[Record]) -> None:
    """Raise UserError, before any work is done, where a record's recordings are none that `to_line` can name."""
    for record in records:
        _check_files(record.recordings, record.where)


def _check_files(recordings: Sequence[Recording], where: str) -> None:
    if any(recording.offset is not None for recording in recordings):
        raise UserError(f"{where}: the recording lies inside a shard, which a line cannot name; unpack the shard first")


def _written(turn: Message) -> str:
    return "".join("<audio>" if isinstance(part, Audio) else part for part in turn.content)


def _names(recordings: Sequence[Recording], folder: Path, where: str) -> list[str]:
    _check_files(recordings, where)
    paths = [recording.path.resolve() for recording in recordings]
    inside = folder.resolve()
    return [str(path.relative_to(inside) if path.is_relative_to(inside) else path) for path in paths]


def _preference(record: Labelled, instruction: str, rejected: str, what: str) -> Preference:
    message = Message("user", (*[Audio()] * len(record.recordings), instruction))
    return Preference(
        record.where,
        f"{record.id}, {what}",
        record.source,
        record.recordings,
        (message,),
        record.target,
        rejected,
        "factual",
    )


def _partners(ordered: list[Labelled], length: Length, tolerance: float) -> Iterator[tuple[Labelled, Labelled]]:
    """Neighbours by length whose texts differ; `ordered` from short to long."""
    waiting: list[Labelled] = []
    for record in ordered:
        waiting = [one for one in waiting if length_matched(one.target, record.target, length, tolerance)]
        partner = next((one for one in waiting if plain(one.target) != plain(record.target)), None)
        if partner is None:
            waiting.append(record)
        else:
            waiting.remove(partner)
            yield partner, record


def _plain_character(character: str) -> str:
    if unicodedata.category(character)[0] not in "LMN":
        return " "
    name = unicodedata.name(character, "")
    return f" {character} " if name.startswith(("CJK", "HIRAGANA", "KATAKANA")) else character
