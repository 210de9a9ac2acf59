"""One line of training data, in any of the common forms, as a record.

A labelled recording: `audio`, `text`, and where they are known `language`, `target_language`, `task`, `speaker`,
`source`, `id`, `duration_s`. A conversation: `messages` (or `conversations`) with `<audio>` where a recording is heard
and the recordings in `audios`, or in parts of a turn's content; or `query` and `response`, `question` and `answer`. A
preference: a conversation
(or a `prompt`) with `chosen` and `rejected`, or one that ends with the preferred answer beside `rejected_response` or
`rejected_messages` (and `rejected_audios`). Recordings without any `<audio>` are heard before the text of the first
user's turn. Other keys are nobody's affair, unless they look like a misspelt one.
"""

from collections.abc import Mapping, Sequence

from auricle.conversation import Role
from auricle.data.complexity import COMPLEXITIES
from auricle.data.pairs import PAIR_KEYS, read_pair
from auricle.data.places import Origin, heard, listed, timed
from auricle.data.records import Dialogue, Labelled, Preference, Record
from auricle.data.spelling import parse_json, refuse_misspelt, shown
from auricle.data.tasks import check, task_named
from auricle.data.turns import Turn, check_order, last_answer, read_turns, supervised, text_turn
from auricle.errors import UserError

DIMENSIONS = ("factual", "instruction", "safety", "helpfulness")
_OTHER_NAMES = {
    "audios": "audio",
    "audio_filepath": "audio",
    "audio_path": "audio",
    "conversations": "messages",
    "duration": "duration_s",
    "lang": "language",
    "source_lang": "language",
    "source_language": "language",
    "target_lang": "target_language",
    "speaker_id": "speaker",
}
_TEXTS = ("text", "language", "target_language", "task", "speaker", "source", "dimension", "complexity", "system")
_NAMES = (
    *_TEXTS,
    "id",
    "audio",
    "duration_s",
    "messages",
    "query",
    "response",
    "question",
    "answer",
    "prompt",
    "history",
    *PAIR_KEYS,
    "rejected_audios",
)


def parse_line(line: str, origin: Origin) -> Record:
    """A line of JSON as a record.

    Raises:
        UserError: as `read_record`, or it is not JSON.
    """
    return read_record(parse_json(line, origin.where), origin)


def read_record(value: object, origin: Origin) -> Record:
    """An object in one of the forms above as a record.

    Raises:
        UserError: where it stands, what is wrong with it, and what was expected.
    """
    try:
        fields = _fields(value)
        turns = _conversation(fields)
        if any(key in fields for key in PAIR_KEYS):
            return _preference(fields, turns, origin)
        if turns:
            return _dialogue(fields, turns, origin)
        labelled = _labelled(fields, origin)
    except UserError as error:
        raise UserError(f"{origin.where}: {error}") from None
    check(labelled)
    return labelled


def _fields(value: object) -> dict[str, object]:
    """The object by its keys' first names, nulls left out."""
    if not isinstance(value, dict):
        raise UserError(f'{shown(value)} is not an object; expected one such as {{"audio": "x.wav", "text": "Hello."}}')
    fields: dict[str, object] = {}
    for key, inner in value.items():
        name = str(_OTHER_NAMES.get(key, key))
        if inner is not None:
            if name in fields:
                raise UserError(
                    f"`{key}` says again what another key says (`{name}`); expected one of them, leave one out"
                )
            fields[name] = inner
    refuse_misspelt([key for key in fields if key not in _NAMES], _missing(fields), "the line")
    for key in _TEXTS:
        if key == "speaker" and isinstance(fields.get(key), int):
            fields[key] = str(fields[key])
        if not isinstance(fields.get(key, ""), str):
            raise UserError(f"`{key}` is {shown(fields[key])}; expected a text")
    return fields


def _missing(fields: Mapping[str, object]) -> tuple[str, ...]:
    """Known names, of which the line has none that says the same."""
    return tuple(name for name in (*_NAMES, *_OTHER_NAMES) if _OTHER_NAMES.get(name, name) not in fields)


def _conversation(fields: Mapping[str, object]) -> list[Turn]:
    """The turns that the line spells out; none for a labelled recording."""
    turns = []
    if "messages" in fields:
        if "query" in fields or "response" in fields:
            raise UserError("`messages` and `query` or `response` are two conversations; expected one, leave one out")
        turns = read_turns(fields["messages"], "messages")
    else:
        for user, assistant in (("query", "response"), ("question", "answer"), ("prompt", "")):
            if user in fields and not turns and "text" not in fields:
                turns = [*_history(fields.get("history", [])), *_asked(fields[user], user)]
                turns += [text_turn("assistant", fields[assistant], assistant)] if assistant in fields else []
    if "system" in fields and turns:
        turns = [text_turn("system", fields["system"], "system"), *turns]
    return check_order(turns, "messages")


def _asked(value: object, key: str) -> list[Turn]:
    """A question, or all the turns before an answer."""
    return read_turns(value, key) if isinstance(value, list) else [text_turn("user", value, key)]


def _history(value: object) -> list[Turn]:
    if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise UserError(f"`history` is {shown(value)}; expected a list of [query, response]")
    roles: tuple[Role, Role] = ("user", "assistant")
    return [text_turn(role, text, "history") for pair in value for role, text in zip(roles, pair, strict=True)]


def _dialogue(fields: Mapping[str, object], turns: list[Turn], origin: Origin) -> Dialogue:
    last_answer(turns, "the conversation")
    turns, recordings = heard(turns, listed(fields, "audio", origin), origin)
    messages = tuple(turn.message for turn in turns)
    complexity = _one_of(fields, "complexity", COMPLEXITIES)
    return Dialogue(*_named(fields, origin), timed(recordings, fields), messages, supervised(turns), complexity)


def _preference(fields: Mapping[str, object], turns: list[Turn], origin: Origin) -> Preference:
    pair = read_pair(fields, turns)
    prompt, recordings = heard(pair.prompt, listed(fields, "audio", origin), origin)
    key = "rejected_audios" if "rejected_audios" in fields else "audio"
    _, rejected = heard(pair.rejected_prompt, listed(fields, key, origin), origin)
    if len(rejected) != len(recordings):
        raise UserError(
            f"{len(rejected)} recordings for the rejected answer and {len(recordings)} for the chosen; expected as many"
        )
    return Preference(
        *_named(fields, origin),
        timed(recordings, fields),
        tuple(turn.message for turn in prompt),
        pair.chosen,
        pair.rejected,
        _one_of(fields, "dimension", DIMENSIONS),
        None if rejected == recordings else rejected,
    )


def _labelled(fields: Mapping[str, object], origin: Origin) -> Labelled:
    recordings = listed(fields, "audio", origin) or origin.beside
    if "text" not in fields or not recordings:
        keys = ", ".join(f"`{key}`" for key in fields) or "nothing"
        raise UserError(
            f"the line has {keys}; expected `audio` and `text`, `messages` and `audios`, or `query` and `response`"
        )
    if len(recordings) != 1:
        raise UserError(f"{len(recordings)} recordings for one `text`; expected one, or `messages` that place them")
    task = _optional(fields, "task") or origin.task or ("translation" if "target_language" in fields else "asr")
    return Labelled(
        *_named(fields, origin),
        timed(recordings, fields),
        task_named(task).name,
        str(fields["text"]),
        _optional(fields, "language"),
        _optional(fields, "target_language"),
        _optional(fields, "speaker"),
    )


def _named(fields: Mapping[str, object], origin: Origin) -> tuple[str, str, str]:
    """where, id and source."""
    return origin.where, str(fields.get("id", origin.where)), _optional(fields, "source") or origin.source


def _optional(fields: Mapping[str, object], key: str) -> str | None:
    return str(fields[key]) if key in fields else None


def _one_of(fields: Mapping[str, object], key: str, known: Sequence[str]) -> str | None:
    value = _optional(fields, key)
    if value is not None and value not in known:
        raise UserError(f"`{key}` is {shown(value)}; expected one of {', '.join(known)}")
    return value
