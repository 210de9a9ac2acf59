"""The one global order of packs, which every rank computes alike: whole numbers only, no recording is opened."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from auricle.data.mixture import Draw, Mixture, draw_generator
from auricle.data.packer import Packer, Piece
from auricle.data.reading import where_of
from auricle.data.records import Record
from auricle.data.refusal import Refusal
from auricle.data.source import Make, Measure, Source
from auricle.errors import UserError

MOST_REFUSED_RUNNING = 1000  # records one after another; then nothing fits, and waiting for one would never end


@dataclass(frozen=True, slots=True)
class PlannedPack:
    """What a pack will hold. refused: each record that was refused while it was filled, and why."""

    pieces: tuple[Piece, ...]
    refused: tuple[Refusal, ...]

    @property
    def tokens(self) -> int:
        """At most so many."""
        return sum(piece.tokens for piece in self.pieces)


class Plan:
    """Packs without end.

    Args:
        sources: weighted data sets.
        make: a record to its sequences.
        measure: bounds their tokens.
        seed: of all that is drawn.
        pack_tokens: of a pack.
        max_tokens: of one group; a longer one is refused. One longer than a pack becomes a pack of its own.
    """

    def __init__(
        self, sources: Sequence[Source], *, make: Make, measure: Measure, seed: int, pack_tokens: int, max_tokens: int
    ) -> None:
        self._sources = sources
        self._make = make
        self._measure = measure
        self._seed = seed
        self._max_tokens = max_tokens
        self._mixture = Mixture(sources, seed)
        self._packer = Packer(pack_tokens)

    def record(self, draw: Draw | Piece) -> Record:
        """The record that was drawn."""
        return self._sources[draw.source].records[draw.record]

    def where(self, draw: Draw | Piece) -> str:
        """Its place, which is known of a record that cannot be read, too."""
        return where_of(self._sources[draw.source].records, draw.record)

    def pack(self) -> PlannedPack:
        """The next one.

        Raises:
            UserError: so many records in a row were refused that the data cannot be meant.
        """
        refused: list[Refusal] = []
        num_running = 0
        while num_running < MOST_REFUSED_RUNNING:
            draw = self._mixture.draw()
            try:
                pieces = self._packer.add(self._piece(draw))
            except UserError as error:
                refused.append(Refusal.of(self.where(draw), error))
                num_running += 1
                continue
            if pieces is not None:
                return PlannedPack(pieces, tuple(refused))
            num_running = 0
        raise UserError(
            f"nothing to learn from: {num_running} records in a row were refused, expected usable ones; "
            f"the last: {refused[-1].why}"
        )

    def state(self) -> dict[str, Any]:
        """Of both stages, after the last pack: plain numbers and lists."""
        return {"mixture": self._mixture.state(), "packer": self._packer.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._mixture.load(state["mixture"])
        self._packer.load(state["packer"])

    def _piece(self, draw: Draw) -> Piece:
        record = self.record(draw)
        tokens = self._measure(self._make(record, draw_generator(self._seed, draw.number, "make")))
        if tokens < 1:
            raise ValueError(f"{record.where} measures {tokens} tokens; expected at least one")
        if tokens > self._max_tokens:
            raise UserError(
                f"too long: {tokens} tokens, expected at most max_tokens {self._max_tokens}; "
                "nothing is cut, so give a shorter recording or text, or raise max_tokens"
            )
        return Piece(*draw, tokens)
