"""How often each dimension of preference is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from auricle.data import Preference, Record
from auricle.data.formats import DIMENSIONS
from auricle.data.reading import RecordList, where_of
from auricle.data.source import Source
from auricle.errors import UserError


@dataclass(frozen=True, slots=True)
class Part(RecordList):
    """Some records of a source, by their places in it."""

    records: Sequence[Record]
    places: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.places)

    def read(self, index: int) -> Record:
        """As the source reads it."""
        return self.records[self.places[index]]

    def where(self, index: int) -> str:
        """As the source names it."""
        return where_of(self.records, self.places[index])


def by_dimension(sources: Sequence[Source], shares: Sequence[float]) -> list[Source]:
    """The same records, drawn by what they teach: each source split by dimension, the weights adding up to 1.

    Within a dimension the sources keep their proportions. Records that name no dimension keep the share of the draws
    that their sources give them, and the dimensions divide the rest; one that has no records leaves its share to the
    others, in their proportions. Sources without any named dimension are thus drawn as they were.

    Args:
        sources: of preferences; every record is read once.
        shares: of factual, instruction, safety and helpfulness, the brief's 40 : 30 : 20 : 10.

    Raises:
        UserError: shares that are none.
    """
    if len(shares) != len(DIMENSIONS) or min(shares) < 0 or not sum(shares):
        raise UserError(
            f"dpo.shares must be {len(DIMENSIONS)} numbers, none below 0 and one above it: got {list(shares)}"
        )
    parts = [part for source in sources for part in _split(source)]
    weight_of = {name: sum(part.weight for part, of in parts if of == name) for name in (*DIMENSIONS, None)}
    total = sum(weight_of.values())
    wanted = {name: share for name, share in zip(DIMENSIONS, shares, strict=True) if weight_of[name]}
    named = 1 - weight_of[None] / total
    share_of: dict[str | None, float] = {None: 1 - named}
    share_of |= {name: share / (sum(wanted.values()) or 1) * named for name, share in wanted.items()}
    drawn = [replace(part, weight=share_of[name] * part.weight / weight_of[name]) for part, name in parts]
    return [source for source in drawn if source.weight]


def _split(source: Source) -> list[tuple[Source, str | None]]:
    """A source's records of each dimension, with their part of its weight."""
    places: dict[str | None, list[int]] = {}
    for place, record in enumerate(source.records):
        dimension = record.dimension if isinstance(record, Preference) else None
        places.setdefault(dimension, []).append(place)
    often = source.record_weights
    total = len(source.records) if often is None else sum(often)
    parts: list[tuple[Source, str | None]] = []
    for dimension, of in places.items():
        name = source.name if dimension is None else f"{source.name}/{dimension}"
        own = None if often is None else [often[place] for place in of]
        weight = source.weight * (len(of) if own is None else sum(own)) / total
        parts.append((Source(name, Part(source.records, tuple(of)), weight, own), dimension))
    return parts
