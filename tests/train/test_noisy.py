"""Recordings under noise: mixed as asked, kept as heard, and what a model mishears in them."""

from pathlib import Path

import numpy as np
import pytest
from scripted import Scripted

from auricle.audio import Waveform
from auricle.conversation import Audio, Message
from auricle.data import Labelled, Preference, Recording
from auricle.data.noises import ColouredNoise
from auricle.train.noisy import misheard_under_noise, noisy_preferences, under_noise

RNG = np.random.default_rng


def test_noise_is_mixed_at_the_ratio_that_was_asked(recordings: list[Path], tmp_path: Path):
    clean = Recording(recordings[2]).load().samples
    for snr_db in (0.0, 20.0):
        noisy = under_noise(Recording(recordings[2]), ColouredNoise(), (snr_db, snr_db), RNG(0), tmp_path)
        heard = noisy.load().samples
        assert noisy.duration_s == pytest.approx(4.0)
        scale = np.dot(heard, clean) / np.dot(clean, clean)  # loud mixtures are turned down
        rest = heard / scale - clean
        assert 10 * np.log10(np.mean(clean**2) / np.mean(rest**2)) == pytest.approx(snr_db, abs=1.0)
        assert np.abs(heard).max() <= 0.991
    again = under_noise(Recording(recordings[2]), ColouredNoise(), (20.0, 20.0), RNG(0), tmp_path)
    assert again == noisy
    assert len(list(tmp_path.iterdir())) == 2


def test_the_same_pairs_under_noise(recordings: list[Path], tmp_path: Path):
    clean = Preference("m", "1", "s", (Recording(recordings[0]),), (Message("user", (Audio(), "?")),), "a", "b")
    [noisy] = noisy_preferences([clean], ColouredNoise(), (5.0, 5.0), RNG(0), tmp_path)
    assert (noisy.chosen, noisy.rejected, noisy.messages) == (clean.chosen, clean.rejected, clean.messages)
    assert noisy.id == "1, noisy"
    assert not np.array_equal(noisy.recordings[0].load().samples, clean.recordings[0].load().samples)


def test_what_a_model_mishears_under_noise(recordings: list[Path], tmp_path: Path):
    texts = ("the quick fox", "the lazy dog", "again and again", "who speaks")
    records = [
        Labelled(f"m:{n}", f"{n}", "s", (Recording(recordings[0]),), "asr", text) for n, text in enumerate(texts)
    ]
    engine = Scripted("The quick fox!", "the hazy dog", "again", "who squeaks")
    found = list(
        misheard_under_noise(
            records,
            engine=engine,  # type: ignore[arg-type]
            noises=ColouredNoise(),
            length=lambda text: len(text.split()),
            rng=RNG(0),
            folder=tmp_path,
        )
    )
    assert [(one.chosen, one.rejected) for one in found] == [
        ("the lazy dog", "the hazy dog"),
        (texts[3], "who squeaks"),
    ]
    for one, request in zip(found, (engine.asked[1], engine.asked[3]), strict=True):
        assert request.prompt == one.messages
        assert isinstance(request.audios[0], Waveform)
        assert np.array_equal(request.audios[0].samples, one.recordings[0].load().samples)  # what it heard is kept
        assert one.recordings[0].path.parent == tmp_path
