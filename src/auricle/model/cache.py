"""Keys and values of the tokens read so far: an argument and a result of the decoder, never its hidden state."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch.nn import functional

from auricle.model.config import DecoderConfig
from auricle.model.layers import Attend, causal_mask, dense_attention

_BLOCK_TOKENS = 64  # the step by which a full cache grows


class Cache(Protocol):
    """What the decoder reads with: each kind keeps what was read in its own way."""

    def attention(self, valid_BT: torch.Tensor) -> list[Attend]:
        """Make room for the tokens [B, T] and return each layer's attention, which stores them and sees the past."""
        ...


@dataclass(slots=True)
class KVCache:
    """One buffer a layer, written in place as tokens are read: the rows are padded on the left to one length.

    keys, values: one [batch, kv_heads, capacity, head_width] a layer; each is replaced on its own, so that growing or
    shrinking never holds the whole cache twice.
    valid: bool [batch, capacity], false on padding.
    windows: how many places each layer sees back; None is all.
    num_tokens: how many places hold tokens, the same in every row.
    """

    keys: list[torch.Tensor]
    values: list[torch.Tensor]
    valid: torch.Tensor
    windows: tuple[int | None, ...]
    num_tokens: int = 0

    @classmethod
    def empty(cls, config: DecoderConfig, *, batch: int, capacity: int, like: torch.Tensor) -> "KVCache":
        """A cache with room for `capacity` tokens a row at first, with the dtype and device of `like`."""
        shape = (batch, config.num_kv_heads, capacity, config.head_width)
        keys, values = ([like.new_empty(shape) for _ in range(config.num_layers)] for _ in range(2))
        valid = torch.ones(batch, capacity, dtype=torch.bool, device=like.device)
        return cls(keys, values, valid, config.windows)

    def attention(self, valid_BT: torch.Tensor) -> list[Attend]:
        """Make room for the tokens [B, T] and return each layer's attention, which stores them and sees the past."""
        start, end = self.num_tokens, self.num_tokens + valid_BT.shape[1]
        self._reserve(end)
        self.num_tokens = end
        self.valid[:, start:end] = valid_BT
        layers = _windowed_attention(self.windows, self.valid[:, :end], end - start)
        return [self._layer_attention(index, start, end, dense) for index, dense in enumerate(layers)]

    def keep(self, rows: torch.Tensor) -> None:
        """Keep only some rows of the batch, int64 [kept], in that order (a row may be named more than once)."""
        self.valid = self.valid[rows]
        for buffers in (self.keys, self.values):
            for layer, buffer in enumerate(buffers):
                buffers[layer] = buffer[rows]

    def reorder(self, rows: torch.Tensor, *, start: int) -> None:
        """As `keep`, int64 [batch], for rows that each take one with the same first `start` tokens and no padding
        after them: only what follows is moved."""
        for buffer in (*self.keys, *self.values):
            buffer[:, :, start : self.num_tokens] = buffer[rows, :, start : self.num_tokens]

    def _reserve(self, num_tokens: int) -> None:
        """Room for so many tokens a row; the buffers grow by whole blocks and keep what they hold."""
        missing = num_tokens - self.valid.shape[1]
        if missing <= 0:
            return
        more = -(-missing // _BLOCK_TOKENS) * _BLOCK_TOKENS
        self.valid = functional.pad(self.valid, (0, more), value=True)
        for buffers in (self.keys, self.values):
            for layer, buffer in enumerate(buffers):
                buffers[layer] = functional.pad(buffer, (0, 0, 0, more))

    def _layer_attention(self, index: int, start: int, end: int, dense: Attend) -> Attend:
        def attend(q_BNTH: torch.Tensor, k_BKTH: torch.Tensor, v_BKTH: torch.Tensor) -> torch.Tensor:
            keys, values = self.keys[index], self.values[index]
            keys[:, :, start:end] = k_BKTH
            values[:, :, start:end] = v_BKTH
            return dense(q_BNTH, keys[:, :, :end], values[:, :, :end])

        return attend


def uncached_attention(config: DecoderConfig, valid_BT: torch.Tensor) -> list[Attend]:
    """Each layer's attention over the whole sequence at once, as in training."""
    return _windowed_attention(config.windows, valid_BT, valid_BT.shape[1])


def _windowed_attention(windows: tuple[int | None, ...], valid_BT: torch.Tensor, num_queries: int) -> list[Attend]:
    """One attention a layer; layers of the same window share its mask."""
    by_window = {
        window: dense_attention(causal_mask(valid_BT, num_queries, window=window)) for window in dict.fromkeys(windows)
    }
    return [by_window[window] for window in windows]
