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

    @property
    def _kept_for_short(self) -> int:
        return max(self.num_tokens // 2, ROW_TOKENS)

    def fits(self, running: Sequence[int], length: int) -> bool:
        """Whether one more may join rows of which those above `ROW_TOKENS` have buffers of their own.

        All together hold at most `num_tokens`. Half of it, and one row at least, is kept for the short ones: they may
        always fill it. The long ones fill no more than the other half, but for the first of them.
        Worked example: 1600 tokens; 3000 run -> 500 may join, 900 may not.
        """
        short, long = _sizes([*running, length])
        if len(running) >= self.num_rows:
            return False
        if length > ROW_TOKENS and len(long) > 1 and sum(long) > self.num_tokens // 2:
            return False
        return short + sum(long) <= self.num_tokens or short <= self._kept_for_short

    def too_many(self, running: Sequence[int]) -> int | None:
        """Which of the rows that grow, in the order they joined, must wait again: none while all hold at most twice
        `num_tokens`, and never one that `fits` would let join again at once.

        It is the youngest of the long ones, while they are several and hold more than half as much, else of the others.
        Worked example: 1600 tokens; 700, 600, 650, 700, 620 run -> the last one: 5 rows of 700 are more than 3200.
        """
        short, long = _sizes(running)
        if short + sum(long) <= 2 * self.num_tokens:
            return None
        if len(long) > 1 and sum(long) > self.num_tokens:
            return max(place for place, length in enumerate(running) if length > ROW_TOKENS)
        places = [place for place, length in enumerate(running) if length <= ROW_TOKENS]
        return places[-1] if len(places) > 1 and short > self._kept_for_short else None


def _sizes(lengths: Sequence[int]) -> tuple[int, list[int]]:
    """Tokens of the short rows, padded to the longest of them, and of each long one."""
    short = [length for length in lengths if length <= ROW_TOKENS]
    return len(short) * max(short, default=0), [length for length in lengths if length > ROW_TOKENS]


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
