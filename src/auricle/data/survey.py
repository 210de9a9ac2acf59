"""Plans over whole data sets: their records one after another, and how much sound to reckon with."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from auricle import units
from auricle.data.records import Record, Recording
from auricle.data.source import Source
from auricle.errors import UserError

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
_MOST = 4096


def seen_in(sources: Iterable[Source], look: Callable[[Record], Item | None]) -> Iterator[Item]:
    """What `look` makes of every record, None left out; a record that it or reading refuses is passed over here, and
    named when it is drawn.
    """
    for source in sources:
        for place in range(len(source.records)):
            try:
                item = look(source.records[place])
            except UserError:
                continue
            if item is not None:
                yield item


def planned_s(recordings: Sequence[Recording]) -> float:
    """Seconds as the manifest states them; a window of 30 s for a recording of unknown length."""
    return sum(units.WINDOW_S if part.duration_s is None else part.duration_s for part in recordings)


def even_samples(keyed: Iterable[tuple[Key, Item]]) -> dict[Key, list[Item]]:
    """At most 4096 items of each key, of more an even sample (reservoir sampling), the same in every run."""
    rng, seen, samples = np.random.default_rng(0), dict[Key, int](), dict[Key, list[Item]]()
    for key, item in keyed:
        sample, count = samples.setdefault(key, []), seen.get(key, 0)
        seen[key] = count + 1
        if count < _MOST:
            sample.append(item)
        elif (place := int(rng.integers(count + 1))) < _MOST:
            sample[place] = item
    return samples
