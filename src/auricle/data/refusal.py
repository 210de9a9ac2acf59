"""A record that is left out, and why."""

from typing import NamedTuple

from auricle.errors import UserError


class Refusal(NamedTuple):
    """where: the record's place in the data, by which refusals are counted. why: a sentence that names the place."""

    where: str
    why: str

    @classmethod
    def of(cls, where: str, error: UserError) -> "Refusal":
        """What went wrong with the record of a place."""
        return cls(where, naming(where, error))


def naming(where: str, error: UserError) -> str:
    """What went wrong, with the place in the data where the message does not name it."""
    return str(error) if where in str(error) else f"{where}: {error}"
