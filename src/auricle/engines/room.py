"""How many rows a batch may hold."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

ROW_TOKENS = 800  # a recording of 30 s (750 tokens) and the text around it
_MOST_ROWS = 8  # times the batch size: so many short requests may share a batch


@dataclass(frozen=True, slots=True)
class Room:
    """What a running batch may hold: rows, and tokens with every row padded to the longest."""

    num_tokens: int
    num_rows: int

    @classmethod
    def of(cls, batch_size: int) -> "Room":
        """The memory of so many recordings of 30 s; of shorter ones more."""
        return cls(batch_size * ROW_TOKENS, batch_size * _MOST_ROWS)

    def count(self, running: Sequence[int], waiting: Iterable[int]) -> int:
        """How many of those that wait may join, in their order, given all lengths in tokens; one row always may.

        Worked example: 18 tokens, 3 rows; 3 and 4 run, 6 and 2 wait -> 1, because 3 rows of 6 fit and 4 rows do not.
        """
        num_rows, longest, joining = len(running), max(running, default=0), 0
        for length in waiting:
            num_rows, longest = num_rows + 1, max(longest, length)
            if num_rows > 1 and (num_rows > self.num_rows or num_rows * longest > self.num_tokens):
                break
            joining += 1
        return joining


def batches(lengths: Sequence[int], *, num_tokens: int, num_rows: int) -> Iterator[list[int]]:
    """Places of `lengths`, longest first, in batches of at most `num_rows` rows and `num_tokens` tokens, padding
    included; a batch has at least one row.

    Worked example: lengths (2, 9, 3, 8), 18 tokens, 3 rows -> [1, 3], [2, 0].
    """
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    while order:
        fitting = max(1, min(num_rows, num_tokens // max(1, lengths[order[0]])))
        yield order[:fitting]
        order = order[fitting:]
