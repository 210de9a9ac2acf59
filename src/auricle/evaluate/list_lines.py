"""One line of a list: its fields as a sample, a sample as its fields."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any, get_args

from auricle.data.spelling import shown
from auricle.errors import UserError
from auricle.evaluate.official_names import Told, told
from auricle.evaluate.sample import Sample, Task

Fields = Mapping[str, Any]

_PLACE = "Audio 1: <|audio_bos|><|AUDIO|><|audio_eos|>\n"
_ANY_PLACE = re.compile(r"(?:Audio \d+: )?<\|audio_bos\|><\|AUDIO\|><\|audio_eos\|>\n?")
_TASKS = get_args(Task)


def says_all(fields: Fields) -> bool:
    """Whether it is one of ours, of which nothing is guessed."""
    return "dataset" in fields and "task" in fields


def audio_of(fields: Fields, where: str) -> str:
    """The recording, as the line names it: a path or an address.

    Raises:
        UserError: it names none.
    """
    return _text(fields, "audio", where)


def to_sample(fields: Fields, where: str, audio: Path, *, list_name: str, dataset: str | None) -> Sample:
    """What a line says, and what names tell where it does not.

    Args:
        fields: the line.
        where: file and number, for messages.
        audio: the recording, found.
        list_name: the file's name without its ending.
        dataset: of lines that do not name theirs.

    Raises:
        UserError: a key is missing or has another type, or nothing tells the task.
    """
    names = _told(fields, where, list_name, dataset)
    is_chat = "query" in fields
    prompt = _question(_text(fields, "query", where), where) if is_chat else _text(fields, "prompt", where)
    return Sample(
        id=_id(fields, where, audio),
        dataset=names.dataset,
        source=names.source,
        task=_task(fields, where, "chat" if is_chat else names.task),
        audio=audio,
        prompt=prompt,
        reference=_text(fields, "gt", where, default="" if is_chat else None),
        language=_optional(fields, "language", where) or names.language,
        target_language=_optional(fields, "target_language", where) or names.target_language,
        speaker=_optional(fields, "speaker", where) or names.speaker,
        duration_s=_seconds(fields, where),
        labels=_labels(fields, where),
        details=_details(fields, where),
    )


def to_line(sample: Sample) -> str:
    """One line without its end, with the keys of the official lists first."""
    audio = str(sample.audio)
    if sample.task == "chat":
        fields: dict[str, Any] = {"id": sample.id, "audio": audio, "query": _PLACE + sample.prompt}
    else:
        fields = {"audio": audio, "source": sample.source, "prompt": sample.prompt, "gt": sample.reference}
    fields |= {"id": sample.id, "source": sample.source, "gt": sample.reference, "dataset": sample.dataset}
    fields |= {"task": sample.task, "language": sample.language, "target_language": sample.target_language}
    fields |= {"speaker": sample.speaker, "duration_s": sample.duration_s}
    fields |= {"labels": list(sample.labels) or None, "details": dict(sample.details) or None}
    said = {key: value for key, value in fields.items() if value is not None}
    line = json.dumps(said, ensure_ascii=False)
    try:
        line.encode()
    except UnicodeEncodeError:  # a path whose bytes are no UTF-8
        return json.dumps(said)
    return line


def _told(fields: Fields, where: str, list_name: str, dataset: str | None) -> Told:
    source = _text(fields, "source", where, default="" if "query" in fields else None)
    if says_all(fields):
        return Told(_text(fields, "dataset", where), source, None)
    given = _optional(fields, "dataset", where) or dataset
    prompt = "" if "query" in fields else _text(fields, "prompt", where)
    return told(list_name=list_name, source=source, prompt=prompt, audio=audio_of(fields, where), dataset=given)


def _question(query: str, where: str) -> str:
    """Without the place of the recording, which every prompt here has before its text."""
    match = _ANY_PLACE.search(query)
    if match:
        before = query[: match.start()]
        query = f"{before}{query[match.end() :]}".strip() if before else query[match.end() :]
    if "<|AUDIO|>" in query:
        raise UserError(f"{where} asks about several recordings; expected one place for one recording in `query`")
    return query


def _id(fields: Fields, where: str, audio: Path) -> str:
    value = fields.get("id", PurePath(audio).stem)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise UserError(f"{where}: `id` is {shown(value)}; expected text or a whole number")
    return str(value)


def _task(fields: Fields, where: str, known: Task | None) -> Task:
    value = fields.get("task", known)
    if value is None:
        raise UserError(f"{where} does not tell its task; give the data set, or add `task`: {', '.join(_TASKS)}")
    if value not in _TASKS:
        raise UserError(f"{where}: `task` is {shown(value)}; expected one of {', '.join(_TASKS)}")
    return value


def _text(fields: Fields, key: str, where: str, default: str | None = None) -> str:
    value = fields.get(key, default)
    if not isinstance(value, str) or (key == "audio" and not value):
        got = shown(value) if key in fields else "missing"
        raise UserError(f"{where}: `{key}` is {got}; expected text, as in the official lists")
    return value


def _optional(fields: Fields, key: str, where: str) -> str | None:
    return None if fields.get(key) is None else _text(fields, key, where)


def _seconds(fields: Fields, where: str) -> float | None:
    value = fields.get("duration_s")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise UserError(f"{where}: `duration_s` is {shown(value)}; expected seconds")
    return float(value)


def _labels(fields: Fields, where: str) -> tuple[str, ...]:
    value = fields.get("labels", [])
    if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
        raise UserError(f"{where}: `labels` is {shown(value)}; expected a list of texts")
    return tuple(value)


def _details(fields: Fields, where: str) -> tuple[tuple[str, str], ...]:
    value = fields.get("details", {})
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise UserError(f"{where}: `details` is {shown(value)}; expected an object of texts")
    return tuple(value.items())
