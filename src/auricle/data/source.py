"""What the stream is given: weighted data sets, and the three functions that turn a record into what is learnt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from auricle.data.pack import Label
from auricle.data.records import Group, Record
from auricle.prepare import Prepared

Make = Callable[[Record, np.random.Generator], Group]
"""A record and the draw's own generator -> the sequences to learn from it; the stage's affair."""

Measure = Callable[[Group], int]
"""An upper bound of the tokens that a group takes, known without decoding a recording."""

Hear = Callable[[Group, np.random.Generator], Sequence[tuple[Prepared, Label]]]
"""Load, augment and render a group; raises UserError where a recording cannot be heard."""


@dataclass(frozen=True, slots=True)
class Source:
    """A data set and its share of the draws (hours, or any other unit that all sources use).

    record_weights: how often each record is drawn beside the others of its source; None draws all alike.
    """

    name: str
    records: Sequence[Record]
    weight: float
    record_weights: Sequence[float] | None = None
