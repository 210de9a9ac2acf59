"""Our pass over many chunks of sound against Silero's own network, which takes them one by one."""

import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from auricle.audio import load
from auricle.audio.silero import CHUNK_SAMPLES, Silero, _weights
from auricle.errors import UserError

RECORDINGS = Path(__file__).parents[2] / "examples" / "recordings"
OURS = {  # the names in Silero's TorchScript model
    "encoder.0.reparam_conv": "conv1",
    "encoder.1.reparam_conv": "conv2",
    "encoder.2.reparam_conv": "conv3",
    "encoder.3.reparam_conv": "conv4",
    "decoder.rnn": "lstm_cell",
    "decoder.decoder.2": "final_conv",
}


@pytest.fixture(scope="module")
def theirs():
    """The package's model with the package's safetensors in it: its own weights are of another training run."""
    spec = find_spec("silero_vad")
    assert spec is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = torch.jit.load(Path(str(spec.origin)).parent / "data" / "silero_vad.jit")
    with torch.no_grad():
        for name, parameter in model._model.named_parameters():
            part, kind = name.rsplit(".", 1)
            parameter.copy_(_weights()[f"{OURS[part]}.{kind}"].reshape(parameter.shape))
        model._model.stft.forward_basis_buffer.copy_(_weights()["stft_conv.weight"])
    return model


def chunks_of(name: str) -> np.ndarray:
    samples = load(RECORDINGS / f"{name}.flac").samples
    return samples[: len(samples) // CHUNK_SAMPLES * CHUNK_SAMPLES].reshape(-1, CHUNK_SAMPLES)


@pytest.mark.parametrize("name", ["prompt", "librivox", "spanish"])
def test_many_chunks_at_once_are_what_silero_says_one_by_one(name: str, theirs):
    chunks = chunks_of(name)
    theirs.reset_states()
    with torch.inference_mode():
        expected = [theirs(torch.from_numpy(chunk.copy()), 16000).item() for chunk in chunks]
    np.testing.assert_allclose(Silero()(chunks), expected, atol=1e-5)
    assert max(expected) > 0.9


def test_portions_change_nothing_and_what_was_heard_before_counts():
    chunks = chunks_of("prompt")
    silero, whole = Silero(), Silero()(chunks)
    parts = [silero(chunks[start : start + 7]) for start in range(0, len(chunks), 7)]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)
    assert len(silero(chunks[:0])) == 0
    forgetful = np.concatenate([Silero()(chunk[None]) for chunk in chunks])
    assert np.abs(forgetful - whole).max() > 0.1  # the control


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    _weights.cache_clear()
    monkeypatch.setattr("auricle.audio.silero.find_spec", lambda name: None)
    with pytest.raises(UserError, match="speech detector is not installed; run `pip install silero-vad`"):
        Silero()
