"""What a served model need not compute twice: the audio tokens of recordings, and the beginnings of conversations."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from auricle.generate import Prefix

_LEAST_TOKENS = 16  # a shorter beginning is read again as fast as it is copied

Key = tuple[int | bytes, ...]
"""A conversation's ids; in the places of a recording's audio tokens stands the recording's digest."""

Layers = list[tuple[torch.Tensor, torch.Tensor]]


class RecordingCache:
    """Projected audio tokens [tokens, width] by the digest of the samples; the longest unused ones leave first.

    Any thread may ask.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[bytes, torch.Tensor] = OrderedDict()
        self._lock = threading.Lock()
        self.hits = self.misses = self.num_bytes = 0

    def __contains__(self, digest: bytes) -> bool:
        with self._lock:
            return digest in self._kept

    def get(self, digest: bytes) -> torch.Tensor | None:
        """The audio tokens, if they are known; counted."""
        with self._lock:
            found = self._kept.get(digest)
            if found is None:
                self.misses += 1
            else:
                self.hits += 1
                self._kept.move_to_end(digest)
            return found

    def put(self, digest: bytes, audio_AD: torch.Tensor) -> None:
        """Keep them; one that has no room at all is not kept."""
        with self._lock:
            if digest in self._kept or audio_AD.nbytes > self._max_bytes:
                return
            while self.num_bytes + audio_AD.nbytes > self._max_bytes:
                self.num_bytes -= self._kept.popitem(last=False)[1].nbytes
            self._kept[digest] = audio_AD
            self.num_bytes += audio_AD.nbytes


@dataclass(frozen=True, slots=True)
class _Entry:
    layers: Layers
    num_bytes: int


class PrefixCache:
    """Keys and values of conversations that were read, for those that begin alike; the longest unused ones leave first.

    One thread at a time.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Key, _Entry] = OrderedDict()
        self.hits = self.misses = self.num_tokens = self.num_bytes = 0

    def find(self, key: Key) -> Prefix | None:
        """The longest known beginning that ends before the key does, splits no recording and is worth its copy."""
        shared = {kept: num_shared(kept, key) for kept in self._kept}
        best = max(shared, key=lambda kept: shared[kept], default=None)
        num_tokens = 0 if best is None else _whole(key, min(shared[best], len(key) - 1))
        if best is None or num_tokens < _LEAST_TOKENS:
            self.misses += 1
            return None
        self.hits += 1
        self.num_tokens += num_tokens
        self._kept.move_to_end(best)
        return Prefix(self._kept[best].layers, num_tokens)

    def put(self, key: Key, num_bytes: int, copy: Callable[[], Layers]) -> None:
        """Keep what was read of a conversation, in place of its own beginnings; `copy` is called if there is room."""
        shared = {kept: num_shared(kept, key) for kept in self._kept}
        if len(key) in shared.values() or num_bytes > self._max_bytes or len(key) < _LEAST_TOKENS:
            return
        for kept, num_tokens in shared.items():
            if num_tokens == len(kept):
                self.num_bytes -= self._kept.pop(kept).num_bytes
        while self.num_bytes + num_bytes > self._max_bytes:
            self.num_bytes -= self._kept.popitem(last=False)[1].num_bytes
        self._kept[key] = _Entry(copy(), num_bytes)
        self.num_bytes += num_bytes


def num_shared(one: Sequence[object], other: Sequence[object]) -> int:
    """How many places are alike from the first on."""
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return place
    return min(len(one), len(other))


def _whole(key: Key, num_tokens: int) -> int:
    """At most so many tokens that no recording is split."""
    while 0 < num_tokens < len(key) and isinstance(key[num_tokens], bytes) and key[num_tokens - 1] == key[num_tokens]:
        num_tokens -= 1
    return num_tokens
