"""Recordings inside the page: small, whole, and never more than was allowed."""

import base64
from pathlib import Path

import numpy as np
import pytest

from auricle.audio import load
from auricle.evaluate.report.players import mp3, outline, players


def _decoded(data: str) -> np.ndarray:
    return load(base64.b64decode(data.removeprefix("data:audio/mpeg;base64,"))).samples


def _loudest_hz(samples: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * 16000 / len(samples))


def test_a_player_holds_the_recording(recordings: list[Path]):
    for path, (duration_s, hz) in zip(recordings, ((1.0, 300), (2.5, 900), (4.0, 2500)), strict=True):
        player = players([path], player_s=30, num_bytes=10**6)[path]
        samples = _decoded(player.data)
        assert player.duration_s == pytest.approx(duration_s, abs=0.01)
        assert len(samples) / 16000 == pytest.approx(duration_s, abs=0.1)
        assert _loudest_hz(samples) == pytest.approx(hz, abs=2)
        assert not player.cut
        assert 3500 * duration_s < len(base64.b64decode(player.data.partition(",")[2])) < 4000 * duration_s + 1500


def test_a_long_recording_is_cut_in_the_player_only(recordings: list[Path]):
    before = recordings[2].read_bytes()
    player = players([recordings[2]], player_s=1.5, num_bytes=10**6)[recordings[2]]
    assert player.cut
    assert player.duration_s == 1.5
    assert len(_decoded(player.data)) / 16000 == pytest.approx(1.5, abs=0.1)
    assert recordings[2].read_bytes() == before


def test_a_recording_as_long_as_the_player_is_not_cut(recordings: list[Path]):
    player = players([recordings[2]], player_s=4.0, num_bytes=10**6)[recordings[2]]
    assert not player.cut
    assert player.duration_s == 4.0


def test_all_players_together_stay_within_their_size(recordings: list[Path]):
    whole = players(recordings, player_s=30, num_bytes=10**6)
    sizes = [len(whole[path].data) for path in recordings]
    made = players([*recordings, recordings[0]], player_s=30, num_bytes=sum(sizes) - 1)
    assert [len(made[path].data) for path in recordings] == [*sizes[:2], 0]
    assert "not embedded" in made[recordings[2]].note
    assert not any(player.data for player in players(recordings, player_s=30, num_bytes=0).values())


def test_a_recording_that_cannot_be_heard_says_why(tmp_path: Path, recordings: list[Path]):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF nothing of the kind")
    made = players([broken, tmp_path / "none.wav", recordings[0]], player_s=30, num_bytes=10**6)
    assert "cannot decode" in made[broken].note
    assert not made[broken].data
    assert "none.wav" in made[tmp_path / "none.wav"].note
    assert made[recordings[0]].data


def test_an_outline_is_the_envelope():
    ramp = np.linspace(0, 0.5, 9600, dtype=np.float32) * np.where(np.arange(9600) % 2, 1, -1)
    peaks = outline(ramp)
    assert len(peaks) == 96
    assert list(peaks) == sorted(peaks)
    assert peaks[-1] == 1.0
    assert outline(np.zeros(50, dtype=np.float32)) == (0.0,) * 96  # fewer samples than bars, and silent


def test_samples_beyond_full_scale_are_clipped():
    loud = 4 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype(np.float32)
    assert np.abs(load(mp3(loud)).samples).max() < 1.6
