"""A stage of training as a value: which examples, which loss. What moves, and how fast, stands in the recipe."""

from dataclasses import dataclass
from typing import Literal

from auricle.data.stream import Make
from auricle.train.objective import Objective

StageName = Literal["pretrain", "sft", "dpo"]


@dataclass(frozen=True, slots=True)
class Stage:
    """make: a record to its sequences. objective: what is minimised. needs_keys: labels carry content hashes."""

    name: StageName
    make: Make
    objective: Objective
    needs_keys: bool = False
