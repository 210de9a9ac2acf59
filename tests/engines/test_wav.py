"""Recordings on their way to a server: not one sample changes."""

import numpy as np
import pytest

from auricle.audio import Waveform, load
from auricle.engines.wav import encode_wav


@pytest.mark.parametrize("num_samples", [480, 16000, 16001])
def test_whole_sixteen_bit_samples_stay_sixteen_bit(num_samples: int):
    whole = np.random.default_rng(0).integers(-32768, 32768, num_samples).astype(np.float32) / 32768
    whole[:2] = (-1.0, 32767 / 32768)
    wav = encode_wav(Waveform(whole))
    assert len(wav) == 44 + 2 * num_samples
    assert np.array_equal(load(wav).samples, whole)


@pytest.mark.parametrize("largest", [0.1, 1.0, 3.0])
def test_finer_or_louder_samples_become_float(largest: float):
    fine = np.random.default_rng(0).uniform(-largest, largest, 1600).astype(np.float32)
    wav = encode_wav(Waveform(fine))
    assert len(wav) == 44 + 4 * 1600
    assert np.array_equal(load(wav).samples, fine)


def test_full_scale_does_not_wrap_around():
    loud = np.ones(480, np.float32)  # 32768 is no 16-bit number
    assert np.array_equal(load(encode_wav(Waveform(loud))).samples, loud)
