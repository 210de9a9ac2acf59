"""Our side: the native engine's model and loop, as `auricle transcribe` runs them."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from auricle import units
from auricle.audio import Mel, Waveform, log_mel
from auricle.bench.sides import PROMPT
from auricle.conversation import Audio, RawPrompt, Sampling
from auricle.extend import use_onednn
from auricle.generate import generate, stream
from auricle.model import ModelInput
from auricle.prepare import Prepared, collate, render_raw
from auricle.weights import read_checkpoint

_RAW = RawPrompt((Audio(), PROMPT))


class Ours:
    """A plain checkpoint directory in float32 on the CPU."""

    def __init__(self, directory: str) -> None:
        self._checkpoint = read_checkpoint(Path(directory), dtype=torch.float32, device=torch.device("cpu"))
        use_onednn(self._checkpoint.model)  # as every engine that answers on a CPU
        self._num_mel_bins = self._checkpoint.model.config.audio.num_mel_bins

    def hear(self, samples: np.ndarray) -> Mel:
        """The mel of the real frames."""
        return log_mel(Waveform(samples), num_mel_bins=self._num_mel_bins)

    def encode(self, heard: Mel) -> torch.Tensor:
        """Audio tokens [tokens, width]."""
        with torch.inference_mode():
            return self._checkpoint.model.encode(heard.features[None], torch.tensor([heard.num_frames]))

    def generate(self, clips: Sequence[np.ndarray], num_tokens: int) -> list[list[int]]:
        """Exactly `num_tokens` ids a recording."""
        rows = generate(self._checkpoint.model, self._inputs(clips), _exactly(num_tokens), stop_ids=frozenset())
        return [row.ids for row in rows]

    def decode_s(self, clips: Sequence[np.ndarray], num_tokens: int) -> float:
        """Seconds between the first and the last token."""
        steps = stream(self._checkpoint.model, self._inputs(clips), _exactly(num_tokens), stop_ids=frozenset())
        at_s = [time.perf_counter() for _ in steps]
        return at_s[-1] - at_s[0]

    def text(self, ids: Sequence[int]) -> str:
        """Token ids to text."""
        return self._checkpoint.tokenizer.decode(list(ids))

    def _inputs(self, clips: Sequence[np.ndarray]) -> ModelInput:
        return collate([self._prepare(samples) for samples in clips], pad_id=self._checkpoint.pad_id)

    def _prepare(self, samples: np.ndarray) -> Prepared:
        mel = self.hear(samples)
        prompt = render_raw(_RAW, [units.tokens_from_frames(mel.num_frames)], self._checkpoint.tokenizer)
        return Prepared(prompt, (mel,))


def _exactly(num_tokens: int) -> Sampling:
    return Sampling(min_new_tokens=num_tokens, max_new_tokens=num_tokens)
