"""Word and character error rates: the fewest edits that turn a reference into an answer.

Every edit costs 1, as in the official scripts. Several alignments can be the shortest: another program may find
other substitutions, insertions and deletions, though never another sum.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from auricle.errors import UserError
from auricle.metrics.counts import Measure, ratio

if TYPE_CHECKING:
    from rapidfuzz.distance import Opcodes

Operation = Literal["equal", "replace", "insert", "delete"]

_EDITS = ("substitutions", "insertions", "deletions")
_COLUMN = {"replace": 0, "insert": 1, "delete": 2}


def _error_rate(sums: np.ndarray) -> np.ndarray:
    return ratio(sums[..., :3].sum(axis=-1), sums[..., 3])


WER = Measure("wer", (*_EDITS, "reference_words"), _error_rate, bounds=(0.0, math.inf))
CER = Measure("cer", (*_EDITS, "reference_characters"), _error_rate, bounds=(0.0, math.inf))


def edit_counts(reference: Sequence[str], answer: Sequence[str]) -> np.ndarray:
    """Int [4]: substitutions, insertions, deletions, and how many items the reference has.

    reference, answer: words, or characters (a text is a sequence of them).

    Raises:
        UserError: rapidfuzz is not installed.
    """
    counts = np.zeros(4, dtype=np.int64)
    for block in _blocks(reference, answer):
        if block.tag != "equal":
            counts[_COLUMN[block.tag]] += max(block.src_end - block.src_start, block.dest_end - block.dest_start)
    counts[3] = len(reference)
    return counts


def alignment(reference: Sequence[str], answer: Sequence[str]) -> tuple[tuple[Operation, str, str], ...]:
    """Both side by side, item by item: what was done, the reference's item, the answer's.

    A deletion has an empty answer, an insertion an empty reference. The edits are those that `edit_counts` counts.

    Raises:
        UserError: rapidfuzz is not installed.
    """
    places: list[tuple[Operation, str, str]] = []
    for block in _blocks(reference, answer):
        said = list(reference[block.src_start : block.src_end])
        heard = list(answer[block.dest_start : block.dest_end])
        length = max(len(said), len(heard))
        said += [""] * (length - len(said))
        heard += [""] * (length - len(heard))
        places += [(cast(Operation, block.tag), one, other) for one, other in zip(said, heard, strict=True)]
    return tuple(places)


def _blocks(reference: Sequence[str], answer: Sequence[str]) -> "Opcodes":
    """Stretches of both of one operation each; as long on both sides where items are equal or replaced."""
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError as error:
        raise UserError("error rates need rapidfuzz: install it with pip install 'auricle[eval]'") from error
    return Levenshtein.opcodes(reference, answer)
