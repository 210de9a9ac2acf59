"""Noise from a folder and made noise: lazy, bounded, and the same whatever was drawn before."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from made_sound import RATE, loudest_hz, power_between

from auricle.data.noises import ColouredNoise, NoiseFolder
from auricle.errors import UserError


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_folder_of_noise_is_heard_whatever_was_drawn_before(tmp_path, encode_audio, sine, monkeypatch):
    (tmp_path / "deeper").mkdir()
    (tmp_path / "README.txt").write_text("no noise")
    for name, hz in (("a.wav", 300.0), ("deeper/b.flac", 2000.0)):
        container, codec = ("wav", "pcm_s16le") if name.endswith("wav") else ("flac", "flac")
        (tmp_path / name).write_bytes(encode_audio(sine(0.5, hz=hz)[None], container=container, codec=codec, rate=RATE))
    noises = NoiseFolder(tmp_path)
    drawn = [noises.draw(16000, rng(seed)) for seed in range(30)]
    assert {round(loudest_hz(noise), -2) for noise in drawn} == {300.0, 2000.0}
    assert all(noise.shape == (16000,) for noise in drawn)  # repeated: the recordings are shorter
    again = pickle.loads(pickle.dumps(noises))
    assert all(np.array_equal(again.draw(16000, rng(seed)), drawn[seed]) for seed in reversed(range(30)))
    monkeypatch.setattr(Path, "rglob", lambda self, pattern, rglob=Path.rglob: sorted(rglob(self, pattern))[::-1])
    elsewhere = NoiseFolder(tmp_path)  # on a file system that lists in another order
    assert all(np.array_equal(elsewhere.draw(16000, rng(seed)), drawn[seed]) for seed in range(30))
    stretches = {noises.draw(100, rng(seed)).tobytes() for seed in range(30)}
    assert len(stretches) > 2  # from different places


def test_a_folder_of_noise_keeps_a_bounded_part_in_memory(tmp_path, encode_audio, noise, monkeypatch):
    for number in range(4):
        data = encode_audio(noise(1.0, seed=number)[None], container="wav", codec="pcm_s16le", rate=RATE)
        (tmp_path / f"{number}.wav").write_bytes(data)
    monkeypatch.setattr("auricle.data.noises._KEPT_SAMPLES", 2 * RATE)
    noises = NoiseFolder(tmp_path)
    for seed in range(20):
        noises.draw(100, rng(seed))
        assert sum(map(len, noises._kept.values())) <= 2 * RATE


def test_of_a_long_noise_recording_the_start_is_heard(tmp_path, encode_audio, sine, monkeypatch):
    sound = np.concatenate([sine(1.0, hz=300.0), sine(2.0, hz=3000.0)])
    (tmp_path / "long.wav").write_bytes(encode_audio(sound[None], container="wav", codec="pcm_s16le", rate=RATE))
    monkeypatch.setattr("auricle.data.noises._LONGEST_S", 1)
    drawn = NoiseFolder(tmp_path).draw(2 * RATE, rng(0))
    assert power_between(drawn, 2900, 3100) < 1e-3 * power_between(drawn, 200, 400)


def test_what_is_no_folder_of_noise_is_refused(tmp_path):
    with pytest.raises(
        UserError, match=r"augment\.noise is no folder: got .*nowhere, expected one of noise recordings"
    ):
        NoiseFolder(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"no noise in .*: got no audio file, expected a folder"):
        NoiseFolder(tmp_path).draw(10, rng(0))
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    with pytest.raises(UserError, match=r"cannot decode .*broken\.wav"):
        NoiseFolder(tmp_path).draw(10, rng(0))


def test_made_noise_has_colours():
    def tilt(noise: np.ndarray) -> float:
        return power_between(noise, 50, 500) / power_between(noise, 4000, 8000)

    tilts = [tilt(ColouredNoise().draw(16000, rng(seed))) for seed in range(20)]
    assert min(tilts) < 1 < 50 < max(tilts) < 200  # brown: 144
    assert np.mean(ColouredNoise().draw(16000, rng(0)) ** 2) == pytest.approx(0.01, rel=1e-3)
