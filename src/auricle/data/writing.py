"""Records as lines of JSON, in the form that `data.formats` reads back equal."""

import json
import os
from pathlib import Path
from typing import Any

from auricle.conversation import Audio, Message
from auricle.data.records import Labelled, Preference, Record, Recording
from auricle.errors import UserError


def to_line(record: Record, folder: Path) -> str:
    """One line without its end; recordings are named as the folder of the manifest sees them.

    Raises:
        UserError: a recording is a member of a tar shard, which a line cannot name.
    """
    fields: dict[str, Any] = {"id": record.id, "source": record.source}
    if isinstance(record, Labelled):
        names = _names(record, record.recordings, folder)
        fields |= {"audio": names[0] if len(names) == 1 else list(names), "text": record.target, "task": record.task}
        fields |= {"language": record.language, "target_language": record.target_language, "speaker": record.speaker}
    else:
        supervised = None if isinstance(record, Preference) else record.supervised
        fields["messages"] = _turns(record.messages, supervised)
        fields["audios"] = list(_names(record, record.recordings, folder))
        if isinstance(record, Preference):
            fields |= {"chosen": record.chosen, "rejected": record.rejected, "dimension": record.dimension}
            if record.rejected_recordings is not None:
                fields["rejected_audios"] = list(_names(record, record.rejected_recordings, folder))
        else:
            fields["complexity"] = record.complexity
    durations = [part.duration_s for part in record.recordings]
    if durations and None not in durations:
        fields["duration_s"] = durations
    return json.dumps({key: value for key, value in fields.items() if value is not None}, ensure_ascii=False)


def _names(record: Record, recordings: tuple[Recording, ...], folder: Path) -> tuple[str, ...]:
    for recording in recordings:
        if recording.offset is not None:
            raise UserError(
                f"{record.where}: {recording.path} is a tar shard, whose members a line cannot name; unpack it to files"
            )
    return tuple(_relative(recording.path, folder) for recording in recordings)


def _relative(path: Path, folder: Path) -> str:
    """Below the manifest's folder without it, so that both can be moved together; else in full."""
    full, base = os.path.abspath(path), os.path.abspath(folder)
    return os.path.relpath(full, base) if os.path.commonpath([full, base]) == base else full


def _turns(messages: tuple[Message, ...], supervised: tuple[bool, ...] | None) -> list[dict[str, Any]]:
    marks = iter(supervised or ())
    turns = []
    for message in messages:
        turn: dict[str, Any] = {"role": message.role, "content": _content(message)}
        if message.role == "assistant" and supervised is not None:
            turn["loss"] = next(marks)
        turns.append(turn)
    return turns


def _content(message: Message) -> str | list[dict[str, str]]:
    if not any(isinstance(part, Audio) for part in message.content):
        return "".join(part for part in message.content if isinstance(part, str))
    return [
        {"type": "audio"} if isinstance(part, Audio) else {"type": "text", "text": part} for part in message.content
    ]
