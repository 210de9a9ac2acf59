"""Keys and values of rows that each have their own length: they join, grow by a token at a time, and leave.

Axes: R rows, K key-value heads, C capacity, T tokens, H head width.
"""

from collections.abc import Sequence

import torch

from auricle.model.cache import KVCache
from auricle.model.layers import Attend, dense_attention

_BLOCK_TOKENS = 64  # the step by which the rows' capacity grows
_CALL_BYTES = 2**18  # on a CPU a call of the attention takes as long as reading so much (25 us, one EPYC 9005 core)


class RunningCache:
    """One pair of buffers [slots, K, C, H] a layer; the rows fill the first slots, each from its first place on.

    The buffers are replaced one by one, so that growing never holds more than one layer twice. They stay as they are
    when rows leave, and are made anew in the size that is needed when rows or tokens no longer fit: their peak is that
    of the rows, with at most a quarter more slots and a block of tokens beside it.

    lengths: how many tokens each row holds.
    """

    def __init__(self, windows: tuple[int | None, ...]) -> None:
        self.lengths: list[int] = []
        self._windows = windows
        self._keys: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []

    @property
    def num_bytes(self) -> int:
        """Of all buffers."""
        return sum(buffer.nbytes for buffer in (*self._keys, *self._values))

    def join(self, source: KVCache, rows: Sequence[int], lengths: Sequence[int], *, room: int) -> None:
        """Take over rows of what `prefill` left, layer by layer; the source is used up.

        Args:
            source: padded on the left.
            rows: which of its rows become the next ones here (a row may be named more than once).
            lengths: how many tokens each of them holds.
            room: so many tokens more are made room for where the buffers are too small.
        """
        start, end = len(self.lengths), source.num_tokens
        slots, capacity = self._shape(start + len(rows), max(lengths), room)
        for mine, theirs in ((self._keys, source.keys), (self._values, source.values)):
            mine.extend(theirs[0].new_empty(0) for _ in range(len(theirs) - len(mine)))
            for layer, given in enumerate(theirs):
                self._resize(mine, layer, (slots, given.shape[1], capacity, given.shape[3]))
                for slot, (row, length) in enumerate(zip(rows, lengths, strict=True), start=start):
                    mine[layer][slot, :, :length] = given[row, :, end - length : end]
                    mine[layer][slot, :, length:] = 0  # what a row before left may be no number: 0 times it neither
                theirs[layer] = given = given.new_empty(0)  # its memory is given back
        self.lengths += lengths

    def keep(self, rows: Sequence[int]) -> list[int]:
        """Let all other rows leave: the last ones move into their slots -> which row each slot holds now."""
        kept = set(rows)
        order = list(range(len(self.lengths)))
        late = [row for row in rows if row >= len(kept)]
        for hole in range(len(kept)):
            if hole not in kept:
                order[hole] = late.pop()
                for buffer in (*self._keys, *self._values):
                    buffer[hole] = buffer[order[hole]]
        order = order[: len(kept)]
        self.lengths = [self.lengths[row] for row in order]
        return order

    def copy_row(self, row: int, num_tokens: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """The first tokens of a row: keys and values [K, T, H] of each layer, in memory of their own."""
        return [
            (keys[row, :, :num_tokens].clone(), values[row, :, :num_tokens].clone())
            for keys, values in zip(self._keys, self._values, strict=True)
        ]

    def attention(self, valid_RT: torch.Tensor) -> list[Attend]:
        """Make room for one token of every row, [R, 1], and return each layer's attention, which stores it."""
        if valid_RT.shape != (len(self.lengths), 1):
            raise ValueError(f"one token of each of {len(self.lengths)} rows is read at a time: got {valid_RT.shape}")
        device = valid_RT.device
        shape = self._shape(len(self.lengths), max(self.lengths) + 1, 0)
        for buffers in (self._keys, self._values):
            for layer, buffer in enumerate(buffers):
                self._resize(buffers, layer, (shape[0], buffer.shape[1], shape[1], buffer.shape[3]))
        place_R = torch.tensor(self.lengths, device=device)
        self.lengths = [length + 1 for length in self.lengths]
        alone, end = self._plan(device)
        by_window = {window: self._attend(place_R, window, alone, end) for window in set(self._windows)}
        return [self._layer_attention(layer, place_R, by_window[w]) for layer, w in enumerate(self._windows)]

    def _plan(self, device: torch.device) -> tuple[list[int], int]:
        """Which rows attend on their own, and up to which place all others are padded; none do where calls are dear."""
        if device.type != "cpu":
            return [], max(self.lengths)
        keys = self._keys[0]
        return split_off(self.lengths, _CALL_BYTES // (2 * keys.shape[1] * keys.shape[3] * keys.element_size()))

    def _attend(self, place_R: torch.Tensor, window: int | None, alone: list[int], end: int) -> Attend:
        seen = self._seen(place_R, window)
        together = dense_attention(None if seen is None else seen[..., :end])
        single = {
            row: dense_attention(None if window is None or seen is None else seen[row, ..., : self.lengths[row]])
            for row in alone
        }

        def attend(q_RNTH: torch.Tensor, k_RKTH: torch.Tensor, v_RKTH: torch.Tensor) -> torch.Tensor:
            out_RNTH = together(q_RNTH, k_RKTH[:, :, :end], v_RKTH[:, :, :end])
            for row, attend_alone in single.items():
                this = slice(row, row + 1)
                seen = this, slice(None), slice(self.lengths[row])
                out_RNTH[this] = attend_alone(q_RNTH[this], k_RKTH[seen], v_RKTH[seen])
            return out_RNTH

        return attend

    def _seen(self, place_R: torch.Tensor, window: int | None) -> torch.Tensor | None:
        """bool [R, 1, 1, longest]: a row's tokens up to its new one; None where every row sees all."""
        end = max(self.lengths)
        if min(self.lengths) == end and (window is None or window >= end):
            return None
        key, query = torch.arange(end, device=place_R.device), place_R[:, None]
        seen_RT = key <= query
        if window is not None:
            seen_RT &= key > query - window
        return seen_RT[:, None, None]

    def _shape(self, num_rows: int, num_tokens: int, room: int) -> tuple[int, int]:
        """Slots and capacity that hold so many rows of so many tokens: those there are, where they do."""
        if self._keys:
            slots, _, capacity, _ = self._keys[-1].shape
            if num_rows <= slots and num_tokens <= capacity:
                return slots, capacity
        num_tokens = max([num_tokens, *self.lengths]) + room
        return num_rows + (num_rows // 4 if self.lengths else 0), -(-num_tokens // _BLOCK_TOKENS) * _BLOCK_TOKENS

    def _resize(self, buffers: list[torch.Tensor], layer: int, shape: tuple[int, ...]) -> None:
        """A buffer of that shape with what the rows hold; all else in it is 0."""
        buffer = buffers[layer]
        if buffer.shape == shape:
            return
        num_rows = len(self.lengths)
        if not num_rows:
            buffers[layer] = buffer = buffer.new_empty(0)
        larger = buffer.new_zeros(shape)
        if num_rows:
            num_tokens = max(self.lengths)
            larger[:num_rows, :, :num_tokens] = buffer[:num_rows, :, :num_tokens]
        buffers[layer] = larger

    def _layer_attention(self, layer: int, place_R: torch.Tensor, attend_seen: Attend) -> Attend:
        rows_R = torch.arange(len(place_R), device=place_R.device)

        def attend(q_RNTH: torch.Tensor, k_RKTH: torch.Tensor, v_RKTH: torch.Tensor) -> torch.Tensor:
            keys, values = self._keys[layer], self._values[layer]
            keys[rows_R, :, place_R] = k_RKTH[:, :, 0].to(keys.dtype)
            values[rows_R, :, place_R] = v_RKTH[:, :, 0].to(values.dtype)
            return attend_seen(q_RNTH, keys[: len(rows_R)], values[: len(rows_R)])

        return attend


def split_off(lengths: Sequence[int], call_tokens: int) -> tuple[list[int], int]:
    """The longest rows that had better attend on their own, and the length that all are then padded to together.

    What is least: every row's places up to that length, those of the rows alone, and `call_tokens` for each of these.
    Worked example: lengths (10, 90, 10, 10) and 20 tokens a call -> ([1], 10), which reads 40 + 90 and costs 20 for
    one more call, where all together read 360.
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    best, least, num_alone = 0, len(lengths) * lengths[order[0]], 0
    for num, row in enumerate(order[:-1], start=1):
        num_alone += lengths[row] + call_tokens
        cost = num_alone + len(lengths) * lengths[order[num]]
        if cost < least:
            best, least = num, cost
    return order[:best], lengths[order[best]]
