"""From weighted sources to this rank's packs: one global order that no number of ranks or workers changes.

Stages, each with a state of its own: the mixture draws records, the packer fills packs, a step takes so many packs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from auricle.data.pack import Label, Pack
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
    """A data set and its share of the draws (hours, or any other unit that all sources use)."""

    name: str
    records: Sequence[Record]
    weight: float


@dataclass(frozen=True, slots=True)
class Step:
    """What one rank learns from in one step.

    packs: this rank's share, possibly none. num_rounds: forwards and backwards that every rank makes, so that none
    waits for another. number: the step's, from 0. state: of the stream after this step, plain numbers and lists.
    """

    number: int
    packs: tuple[Pack, ...]
    num_rounds: int
    state: dict[str, Any]
