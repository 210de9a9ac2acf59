"""The preferred and the other answer of a line, in each of the forms in which preferences are written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auricle.data.spelling import shown
from auricle.data.turns import Turn, last_answer, read_turns, text_turn
from auricle.errors import UserError

PAIR_KEYS = ("chosen", "rejected", "rejected_response", "rejected_messages")


@dataclass(frozen=True, slots=True)
class Pair:
    """The turns before each answer, which say the same and may name other recordings, and the two answers."""

    prompt: list[Turn]
    rejected_prompt: list[Turn]
    chosen: str
    rejected: str


def read_pair(fields: Mapping[str, object], turns: list[Turn]) -> Pair:
    """`turns`: the line's conversation; empty where `chosen` and `rejected` hold it.

    Raises:
        UserError: an answer is missing, empty, or the same as the other, or they answer different conversations.
    """
    given = [key for key in PAIR_KEYS if key in fields]
    if given == ["chosen", "rejected"]:
        prompt, chosen = _answer(fields["chosen"], "chosen", turns)
        rejected_prompt, rejected = _answer(fields["rejected"], "rejected", turns)
    elif given in (["rejected_response"], ["rejected_messages"]):
        prompt, chosen = last_answer(turns, "the conversation") if turns else ([], "")
        rejected_prompt, rejected = _answer(fields[given[0]], given[0], prompt)
    else:
        raise UserError(
            f"a preference with {_listed(given)}; expected `chosen` and `rejected`, or a conversation that ends with "
            "the preferred answer and `rejected_response` or `rejected_messages`"
        )
    return _checked(Pair(prompt, rejected_prompt, chosen, rejected))


def _answer(value: object, key: str, turns: list[Turn]) -> tuple[list[Turn], str]:
    """An answer as a text, as a turn, as the last turns or as the whole conversation that it ends."""
    if isinstance(value, str):
        return turns, last_answer([text_turn("assistant", value, key)], f"`{key}`")[1]
    own = read_turns(value if isinstance(value, list) else [value], key)
    before, answer = last_answer(own, f"`{key}`")
    whole = _messages(before)[: len(turns)] == _messages(turns)
    return (before if whole else turns + before), answer


def _checked(pair: Pair) -> Pair:
    if _messages(pair.prompt) != _messages(pair.rejected_prompt):
        raise UserError("the chosen and the rejected answer follow different turns; expected the same question to both")
    role = pair.prompt[-1].message.role if pair.prompt else "nobody"
    if role != "user":
        raise UserError(f"before the two answers {role} speaks; expected a conversation that ends with the user's turn")
    if pair.chosen == pair.rejected:
        raise UserError(f"the chosen and the rejected answer are the same, {shown(pair.chosen)}; leave the line out")
    if any(turn.learnt is not None for turn in pair.prompt):
        raise UserError("a turn before the two answers has `loss`; a preference learns from its two answers only")
    return pair


def _messages(turns: Sequence[Turn]) -> list[object]:
    return [turn.message for turn in turns]


def _listed(keys: Sequence[str]) -> str:
    return " and ".join(f"`{key}`" for key in keys)
