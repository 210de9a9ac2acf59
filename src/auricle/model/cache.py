"""Keys and values of the tokens read so far: an argument and a result of the decoder, never its hidden state."""

from dataclasses import dataclass

import torch

from auricle.model.config import DecoderConfig
from auricle.model.layers import Attend, causal_mask, dense_attention


@dataclass(slots=True)
class KVCache:
    """One buffer for every layer, written in place as tokens are read.

    keys, values: [layers, batch, kv_heads, capacity, head_width].
    valid: bool [batch, capacity], false on padding.
    num_tokens: how many places hold tokens, the same in every row.
    """

    keys: torch.Tensor
    values: torch.Tensor
    valid: torch.Tensor
    num_tokens: int = 0

    @classmethod
    def empty(cls, config: DecoderConfig, *, batch: int, capacity: int, like: torch.Tensor) -> "KVCache":
        """A cache for `capacity` tokens a row, with the dtype and device of `like`."""
        shape = (config.num_layers, batch, config.num_kv_heads, capacity, config.head_width)
        valid = torch.ones(batch, capacity, dtype=torch.bool, device=like.device)
        return cls(like.new_empty(shape), like.new_empty(shape), valid)

    def attention(self, valid_BT: torch.Tensor) -> list[Attend]:
        """Make room for the tokens [B, T] and return each layer's attention, which stores them and sees the past."""
        start, end = self.num_tokens, self.num_tokens + valid_BT.shape[1]
        if end > self.keys.shape[3]:
            raise ValueError(f"cache of {self.keys.shape[3]} tokens cannot hold {end}")
        self.num_tokens = end
        self.valid[:, start:end] = valid_BT
        dense = dense_attention(causal_mask(self.valid[:, :end], end - start))
        return [self._layer_attention(index, start, end, dense) for index in range(len(self.keys))]

    def keep(self, rows: torch.Tensor) -> None:
        """Keep only some rows of the batch, int64 [kept], in that order (a row may be named more than once)."""
        self.keys, self.values, self.valid = self.keys[:, rows], self.values[:, rows], self.valid[rows]

    def _layer_attention(self, index: int, start: int, end: int, dense: Attend) -> Attend:
        def attend(q_BNTH: torch.Tensor, k_BKTH: torch.Tensor, v_BKTH: torch.Tensor) -> torch.Tensor:
            keys, values = self.keys[index], self.values[index]
            keys[:, :, start:end] = k_BKTH
            values[:, :, start:end] = v_BKTH
            return dense(q_BNTH, keys[:, :, :end], values[:, :, :end])

        return attend


def uncached_attention(config: DecoderConfig, valid_BT: torch.Tensor) -> list[Attend]:
    """Each layer's attention over the whole sequence at once, as in training."""
    return [dense_attention(causal_mask(valid_BT, valid_BT.shape[1]))] * config.num_layers
