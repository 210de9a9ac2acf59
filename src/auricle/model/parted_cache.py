"""Keys and values of rows of very different length: no short row is padded to a long one.

Axes: R rows, N heads, K key-value heads, T tokens, H head width.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from auricle.model.cache import KVCache
from auricle.model.layers import Attend
from auricle.model.running_cache import RunningCache

_ROOM_TOKENS = 64  # made beside those of a row that gets buffers of its own


class _Place(NamedTuple):
    part: RunningCache
    slot: int


class PartedCache:
    """Rows of up to `apart` tokens share buffers, padded to the longest; a longer one has its own and attends alone.

    A row moves to its own as it grows beyond; None lets all share.
    """

    def __init__(self, windows: tuple[int | None, ...], *, apart: int | None = None) -> None:
        self._windows = windows
        self._apart = apart
        self._shared = RunningCache(windows)
        self._places: list[_Place] = []  # of each row

    @property
    def lengths(self) -> list[int]:
        """How many tokens each row holds."""
        return [part.lengths[slot] for part, slot in self._places]

    @property
    def num_bytes(self) -> int:
        """Of all buffers."""
        return sum(part.num_bytes for part in {self._shared, *(place.part for place in self._places)})

    def join(self, source: KVCache, rows: Sequence[int], lengths: Sequence[int], *, room: int) -> None:
        """As `RunningCache.join`."""
        parts = [RunningCache(self._windows) if self._is_long(length) else self._shared for length in lengths]
        for part in dict.fromkeys(parts):
            its = [place for place, other in enumerate(parts) if other is part]
            used_up = source if len(its) == len(parts) else _shallow(source)
            part.join(used_up, [rows[place] for place in its], [lengths[place] for place in its], room=room)
        num_shared = len(self._shared.lengths) - parts.count(self._shared)
        for part in parts:
            self._places.append(_Place(part, num_shared if part is self._shared else 0))
            num_shared += part is self._shared

    def keep(self, rows: Sequence[int]) -> list[int]:
        """Let all other rows leave -> which row each place holds now."""
        kept, order, places = set(rows), list[int](), list[_Place]()
        for part, mine in self._by_part().items():
            staying = [slot for slot, row in enumerate(mine) if row in kept]
            for slot, before in enumerate(part.keep(staying)):
                order.append(mine[before])
                places.append(_Place(part, slot))
        self._places = places
        return order

    def copy_row(self, row: int, num_tokens: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """As `RunningCache.copy_row`."""
        part, slot = self._places[row]
        return part.copy_row(slot, num_tokens)

    def attention(self, valid_RT: torch.Tensor) -> list[Attend]:
        """Make room for one token of every row, [R, 1], and return each layer's attention, which stores it."""
        for row in [row for row, (part, _) in enumerate(self._places) if part is self._shared]:
            if self._is_long(self.lengths[row] + 1):
                self._move_out(row)
        by_part = self._by_part()
        everyone = list(range(len(self._places)))
        if list(by_part.values()) == [everyone]:
            return next(iter(by_part)).attention(valid_RT)
        rows = [torch.tensor(mine, device=valid_RT.device) for mine in by_part.values()]
        attends = [part.attention(valid_RT[mine]) for part, mine in zip(by_part, rows, strict=True)]
        return [_attend_parts(of_layer, rows) for of_layer in zip(*attends, strict=True)]

    def _move_out(self, row: int) -> None:
        """Into buffers of its own."""
        slot, length = self._places[row].slot, self.lengths[row]
        keys, values = (list(side) for side in zip(*self._shared.copy_row(slot, length), strict=True))
        source = KVCache(
            [key[None] for key in keys],
            [value[None] for value in values],
            torch.ones(1, length, dtype=torch.bool),
            self._windows,
            length,
        )
        alone = RunningCache(self._windows)
        alone.join(source, [0], [length], room=_ROOM_TOKENS)
        mine = self._by_part()[self._shared]
        order = self._shared.keep([other for other in range(len(mine)) if other != slot])
        for now, before in enumerate(order):
            self._places[mine[before]] = _Place(self._shared, now)
        self._places[row] = _Place(alone, 0)

    def _by_part(self) -> dict[RunningCache, list[int]]:
        """The rows of each part, in the order of its slots."""
        found: dict[RunningCache, list[int]] = {}
        for row in sorted(range(len(self._places)), key=lambda row: self._places[row].slot):
            found.setdefault(self._places[row].part, []).append(row)
        return found

    def _is_long(self, num_tokens: int) -> bool:
        return self._apart is not None and num_tokens > self._apart


def _shallow(source: KVCache) -> KVCache:
    """The same buffers, of which one part takes only some rows."""
    return replace(source, keys=list(source.keys), values=list(source.values))


def _attend_parts(attends: Sequence[Attend], rows: Sequence[torch.Tensor]) -> Attend:
    """Each part's rows with its own keys and values."""
    back_R = torch.cat(list(rows)).argsort()

    def attend(q_RNTH: torch.Tensor, k_RKTH: torch.Tensor, v_RKTH: torch.Tensor) -> torch.Tensor:
        outs = [one(q_RNTH[mine], k_RKTH[mine], v_RKTH[mine]) for one, mine in zip(attends, rows, strict=True)]
        return torch.cat(outs)[back_R]

    return attend
