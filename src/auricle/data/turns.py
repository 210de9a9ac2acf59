"""Conversations as other programs write them -> messages, what their parts name, and what is learnt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from auricle.conversation import Audio, Message, Role
from auricle.data.spelling import refuse_misspelt, shown
from auricle.errors import UserError

PLACE = "<audio>"
ROLES: dict[str, Role] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "system": "system",
}
_KEYS = ("role", "from", "content", "value", "loss")
_PART_KEYS = ("audio", "audio_url", "url", "path")


@dataclass(frozen=True, slots=True)
class Turn:
    """A message, the recording that each of its places names itself (None: the line's list tells), and its `loss`."""

    message: Message
    names: tuple[str | None, ...] = ()
    learnt: bool | None = None


def read_turns(value: object, key: str) -> list[Turn]:
    """`[{"role", "content"}]` or `[{"from", "value"}]`; the user speaks before the assistant, the system first of all.

    Raises:
        UserError: what is wrong with which turn.
    """
    if not isinstance(value, list) or not value:
        raise UserError(f"`{key}` is {shown(value)}; expected a list of turns")
    turns = [_read_turn(turn, f"`{key}`[{number}]") for number, turn in enumerate(value)]
    return check_order(turns, key)


def check_order(turns: list[Turn], key: str) -> list[Turn]:
    """The same turns, where the system speaks first of all and the user before the assistant."""
    roles = [turn.message.role for turn in turns]
    if "system" in roles[1:]:
        raise UserError(f"`{key}`[{roles.index('system', 1)}] is the system's; expected it as the first turn only")
    first = next((role for role in roles if role != "system"), None)
    if first == "assistant" and len(roles) > 1:
        raise UserError(f"`{key}` has no user's turn before the assistant's first; let the user speak first")
    return turns


def text_turn(role: Role, value: object, key: str) -> Turn:
    """A turn of one text, in which `<audio>` marks the places of recordings."""
    return _read_turn({"role": role, "content": value}, f"`{key}`")


def last_answer(turns: Sequence[Turn], name: str) -> tuple[list[Turn], str]:
    """The turns before the last one, and what the assistant says in it."""
    if turns[-1].message.role != "assistant":
        raise UserError(f"{name} ends with the {turns[-1].message.role}'s turn; expected the assistant's answer")
    return list(turns[:-1]), "".join(part for part in turns[-1].message.content if isinstance(part, str))


def supervised(turns: Sequence[Turn]) -> tuple[bool, ...] | None:
    """For each answer whether it is learnt; None where no turn says."""
    learnt = [turn.learnt for turn in turns if turn.message.role == "assistant"]
    if all(answer is None for answer in learnt):
        return None
    if not any(answer is None or answer for answer in learnt):
        raise UserError("every answer has `loss` false, so nothing is learnt from it; leave the line out")
    return tuple(answer is None or answer for answer in learnt)


def with_places(turns: Sequence[Turn], number: int) -> list[Turn]:
    """So many places before the text of the first user's turn, where no turn has any."""
    if any(turn.names for turn in turns):
        return list(turns)
    first = next((place for place, turn in enumerate(turns) if turn.message.role == "user"), None)
    if first is None:
        raise UserError(f"{number} recordings and no user's turn to hear them in; add one")
    message = Message("user", (*[Audio()] * number, *turns[first].message.content))
    filled = replace(turns[first], message=message, names=(None,) * number)
    return [*turns[:first], filled, *turns[first + 1 :]]


def _read_turn(value: object, name: str) -> Turn:
    if not isinstance(value, dict):
        raise UserError(f'{name} is {shown(value)}; expected an object such as {{"role": "user", "content": "..."}}')
    refuse_misspelt([key for key in value if key not in _KEYS], _missing(value), name)
    role = _role(value.get("role", value.get("from")), name)
    content, names = _content(value.get("content", value.get("value")), name)
    if role == "assistant" and names:
        raise UserError(f"{name} is the assistant's and holds a recording; expected text, the model says nothing else")
    if role == "assistant" and not content:
        raise UserError(f"{name} is the assistant's and is empty; expected what it says")
    learnt = value.get("loss")
    if learnt is not None and not isinstance(learnt, bool):
        raise UserError(f"{name} has `loss` {shown(learnt)}; expected true or false")
    if learnt and role != "assistant":
        raise UserError(f"{name} has `loss` true but is the {role}'s; only the assistant's answers are learnt")
    return Turn(Message(role, content), names, learnt)


def _missing(value: Mapping[str, object]) -> tuple[str, ...]:
    pairs = (("role", "from"), ("content", "value"), ("loss",))
    return tuple(key for pair in pairs if not any(other in value for other in pair) for key in pair)


def _role(value: object, name: str) -> Role:
    if value is None:
        raise UserError(f"{name} does not say who speaks; expected `role` (or `from`)")
    if not isinstance(value, str) or value not in ROLES:
        raise UserError(f"{name} has the role {shown(value)}; expected one of {', '.join(ROLES)}")
    return ROLES[value]


def _content(value: object, name: str) -> tuple[tuple[str | Audio, ...], tuple[str | None, ...]]:
    """A text with places, or a list of parts."""
    if value is None:
        raise UserError(f"{name} says nothing; expected `content` (or `value`)")
    if isinstance(value, str):
        pieces = _split(value)
        return tuple(pieces), (None,) * pieces.count(Audio())
    if not isinstance(value, list):
        raise UserError(f"{name} has the content {shown(value)}; expected a text or a list of parts")
    content, names = list[str | Audio](), list[str | None]()
    for part in value:
        if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
            pieces = _split(part["text"])
            content += pieces
            names += [None] * pieces.count(Audio())
        else:
            content.append(Audio())
            names.append(_named(part, name))
    return tuple(content), tuple(names)


def _split(text: str) -> list[str | Audio]:
    """The template breaks the line after a recording itself, so one line break after a place belongs to the place."""
    first, *rest = text.split(PLACE)
    content: list[str | Audio] = [first]
    for piece in rest:
        content += [Audio(), piece.removeprefix("\n")]
    return [part for part in content if part != ""]


def _named(part: Any, name: str) -> str | None:
    """What a part of a list names; None where it only marks the place."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "input_audio":
        raise UserError(
            f"{name} holds a recording's bytes (`input_audio`); write them to a file and name it as `audio`"
        )
    if kind not in ("audio", "audio_url"):
        raise UserError(
            f'{name} has the part {shown(part)}; expected {{"type": "text", "text": "..."}} or '
            '{"type": "audio", "audio": "x.wav"}'
        )
    value = next((part[key] for key in _PART_KEYS if part.get(key) is not None), None)
    if isinstance(value, dict):
        value = value.get("url", value.get("path"))
    if value is not None and not isinstance(value, str):
        raise UserError(f"{name} names the recording {shown(value)}; expected a path")
    return value
