"""Recordings on their way to a server: not one sample changes."""

import numpy as np
import pytest

from auricle.audio import Waveform, load
from auricle.engines.wav import encode_wav


@pytest.mark.parametrize("num_samples", [480, 16000, 16001])
@pytest.mark.parametrize("largest", [0.1, 1.0, 3.0])
def test_every_sample_arrives(num_samples: int, largest: float):
    samples = np.random.default_rng(0).uniform(-largest, largest, num_samples).astype(np.float32)
    wav = encode_wav(Waveform(samples))
    assert len(wav) == 44 + 4 * num_samples
    assert np.array_equal(load(wav).samples, samples)
