"""Which record comes next: sources by weight, and within a source every record once an epoch.

Nothing is drawn from a generator that runs on: each number comes from the seed and a count, so that a few integers are
the whole state.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from auricle.data.source import Source
from auricle.errors import UserError

_PURPOSES = {"make": 0, "hear": 1, "choose": 2}
_ORDER = 3  # a fourth number where the others have three: no draw has the generator of an epoch


class Draw(NamedTuple):
    """The draw's number, from 0; which source; which of its records."""

    number: int
    source: int
    record: int


def draw_generator(seed: int, number: int, purpose: Literal["make", "hear", "choose"]) -> np.random.Generator:
    """The random numbers of one draw: the same in whatever process, and however often, it is worked on."""
    return np.random.default_rng((seed, number, _PURPOSES[purpose]))


class Mixture:
    """Draws records without end."""

    def __init__(self, sources: Sequence[Source], seed: int) -> None:
        """Check the sources.

        Raises:
            UserError: there is no source, one is empty, or a weight is not a positive number.
        """
        _check(sources)
        self._sources = sources
        self._seed = seed
        self._bounds = np.cumsum([source.weight for source in sources])
        self._num_draws = 0
        self._visits = [0] * len(sources)
        self._orders: dict[int, tuple[int, np.ndarray]] = {}  # source -> epoch and its order

    def draw(self) -> Draw:
        """The next record."""
        number = self._num_draws
        point = draw_generator(self._seed, number, "choose").random() * self._bounds[-1]
        source = int(np.searchsorted(self._bounds[:-1], point, side="right"))
        epoch, place = divmod(self._visits[source], len(self._sources[source].records))
        self._num_draws += 1
        self._visits[source] += 1
        return Draw(number, source, int(self._order(source, epoch)[place]))

    def state(self) -> dict[str, Any]:
        """Plain numbers: how many draws there were, and how many of each source."""
        return {"draws": self._num_draws, "visits": list(self._visits)}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._num_draws, self._visits = state["draws"], list(state["visits"])

    def _order(self, source: int, epoch: int) -> np.ndarray:
        known = self._orders.get(source)
        if known is None or known[0] != epoch:
            rng = np.random.default_rng((self._seed, source, epoch, _ORDER))
            self._orders[source] = (epoch, _epoch_order(self._sources[source], rng))
        return self._orders[source][1]


def _epoch_order(source: Source, rng: np.random.Generator) -> np.ndarray:
    """int64 [records]: what an epoch draws, in order.

    With weights a record of `weight / mean weight` 2.3 comes two or three times: systematic resampling, which never is
    a whole draw away from the share.
    """
    num_records = len(source.records)
    order = rng.permutation(num_records)
    if source.record_weights is None:
        return order
    bounds = np.cumsum(np.asarray(source.record_weights, dtype=np.float64)[order])
    points = (np.arange(num_records) + rng.random()) * (bounds[-1] / num_records)
    last = np.searchsorted(bounds, bounds[-1])  # the last that weighs anything, should a point be rounded up
    return rng.permutation(order[np.minimum(np.searchsorted(bounds, points, side="right"), last)])


def _check(sources: Sequence[Source]) -> None:
    if not sources:
        raise UserError("no data to learn from: got 0 sources, expected at least one; name a manifest in data.train")
    for source in sources:
        if not len(source.records):
            raise UserError(
                f"the source {source.name} holds 0 records, expected at least one; check its path or leave it out"
            )
        if not 0 < source.weight < math.inf:
            raise UserError(
                f"the weight of the source {source.name} is {source.weight}, expected a number above 0; "
                "leave a source out to draw nothing from it"
            )
        weights = source.record_weights
        if weights is not None and (
            len(weights) != len(source.records) or not (np.min(weights) >= 0 and 0 < np.sum(weights) < math.inf)
        ):
            raise ValueError(f"record_weights of {source.name}: expected one number of at least 0 for each record")
