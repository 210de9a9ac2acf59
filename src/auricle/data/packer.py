"""Lengths into packs: best fit over a few open packs; nothing is ever split."""

from typing import Any, NamedTuple

MAX_OPEN = 32  # more fill a little better and hold records back for longer


class Piece(NamedTuple):
    """A draw, and how many tokens its group takes at most."""

    number: int
    source: int
    record: int
    tokens: int


class Packer:
    """Takes pieces one by one and gives a pack back whenever one is finished.

    A piece goes where it leaves the least room. A pack is finished when it is full, or when it is the oldest of more
    than `max_open`; so no record waits longer than it takes to fill that many packs.
    """

    def __init__(self, pack_tokens: int, max_open: int = MAX_OPEN) -> None:
        self._pack_tokens = pack_tokens
        self._max_open = max_open
        self._open: list[list[Piece]] = []  # the oldest first
        self._rooms: list[int] = []  # of each open pack

    def add(self, piece: Piece) -> tuple[Piece, ...] | None:
        """The pack that this piece finishes, if any; a piece longer than a pack is one of its own."""
        if piece.tokens >= self._pack_tokens:
            return (piece,)
        fitting = [(room, place) for place, room in enumerate(self._rooms) if room >= piece.tokens]
        if not fitting:
            self._open.append([piece])
            self._rooms.append(self._pack_tokens - piece.tokens)
            return self._finish(0) if len(self._open) > self._max_open else None
        room, place = min(fitting)
        self._open[place].append(piece)
        self._rooms[place] = room - piece.tokens
        return self._finish(place) if room == piece.tokens else None

    def rest(self) -> list[tuple[Piece, ...]]:
        """The open packs, as they are; none is open afterwards."""
        return [self._finish(0) for _ in range(len(self._open))]

    def state(self) -> dict[str, Any]:
        """Plain lists of whole numbers: the open packs."""
        return {"open": [[list(piece) for piece in pack] for pack in self._open]}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._open = [[Piece(*numbers) for numbers in pack] for pack in state["open"]]
        self._rooms = [self._pack_tokens - sum(piece.tokens for piece in pack) for pack in self._open]

    def _finish(self, place: int) -> tuple[Piece, ...]:
        del self._rooms[place]
        return tuple(self._open.pop(place))
