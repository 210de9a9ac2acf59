"""Scores of given texts, between the steps of those that are answered."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from auricle.audio import Waveform
from auricle.conversation import Audio, RawPrompt, Sampling
from auricle.engines import NativeEngine, Request
from auricle.engines.driver import Driver
from auricle.engines.native_stepper import NativeStepper
from auricle.model import Qwen2Audio
from auricle.weights import Checkpoint


def test_what_is_scored_is_heard_once(
    checkpoint: Checkpoint, noise: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch
):
    """The language of a window, and then its words: the second time the window is known."""
    engine, sampling = NativeEngine(checkpoint), Sampling(max_new_tokens=10)
    asked = Request(RawPrompt((Audio(), "Detect the language:")), (Waveform(noise(0.5)),))
    spoken = replace(asked, prompt=RawPrompt((Audio(), "Recognize the speech:")))
    words = ["again", "the lazy dog", ""]
    expected = engine.score(asked, words)
    encode, encoded = Qwen2Audio.encode, list[int]()

    def watch(self: Qwen2Audio, features: torch.Tensor, num_frames: torch.Tensor) -> torch.Tensor:
        encoded.append(len(features))
        return encode(self, features, num_frames)

    monkeypatch.setattr(Qwen2Audio, "encode", watch)
    driver = Driver(NativeStepper(engine))
    for _ in range(2):
        assert driver.score(asked, words) == pytest.approx(expected, abs=1e-3)
    assert driver.score(asked, []) == []
    answer = driver.submit(spoken, sampling).answer()
    driver.close()
    assert len(encoded) == 1
    assert answer.text == next(engine.generate([spoken], sampling)).text
