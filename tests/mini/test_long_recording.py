"""A 20-minute recording through the command: bounded memory, every part heard, valid subtitles."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from auricle import units
from auricle.audio import load
from auricle.metrics import WER, edit_counts

pytestmark = [pytest.mark.slow, pytest.mark.mini]
RECORDINGS = Path(__file__).parents[2] / "examples" / "recordings"
SPOKEN = ("librivox", "prompt")  # taken in turn
PAUSE_S = 1.0
LONG_S, CONTROL_S = 20 * 60, 5 * 60
GROWTH_MB = 40  # for 15 minutes more, whose samples and mels are 82 MiB


def write_speech(path: Path, duration_s: int, encode_audio) -> str:
    """The bundled recordings in turn, with pauses, until the time is up -> the words said in whole sentences."""
    parts: list[np.ndarray] = []
    words: list[str] = []
    total = 0
    while total < duration_s * units.SAMPLE_RATE:
        name = SPOKEN[len(words) % len(SPOKEN)]
        speech = load(RECORDINGS / f"{name}.flac").samples
        words.append((RECORDINGS / f"{name}.txt").read_text())
        parts += [speech, np.zeros(int(PAUSE_S * units.SAMPLE_RATE), np.float32)]
        total += sum(map(len, parts[-2:]))
    samples = np.concatenate(parts)[None]
    path.write_bytes(encode_audio(samples, container="flac", codec="flac", rate=units.SAMPLE_RATE))
    return " ".join(words)


def transcribe(path: Path, out: Path) -> float:
    """Run the command -> the most memory it ever held, in MiB."""
    command = [sys.executable, "-m", "auricle.cli.main", "transcribe", path, "-f", "all", "-o", out, "--window", "10"]
    command += ["--batch-size", "2"]  # less of the memory is the batch, more of it would be the recording
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss / 1024


@pytest.fixture(scope="module")
def transcribed(tmp_path_factory, encode_audio):
    root = tmp_path_factory.mktemp("long")
    peaks = {}
    for name, duration_s in (("control", CONTROL_S), ("long", LONG_S)):
        said = write_speech(root / f"{name}.flac", duration_s, encode_audio)
        peaks[name] = transcribe(root / f"{name}.flac", root)
    return root, said, peaks


def test_memory_does_not_grow_with_the_recording(transcribed):
    _, _, peaks = transcribed
    print(peaks)
    assert peaks["long"] < peaks["control"] + GROWTH_MB


def test_every_part_is_heard(transcribed):
    """The errors of the whole are those of the parts: no window is skipped, said twice or put elsewhere."""
    root, said, _ = transcribed
    heard = json.loads((root / "long.json").read_text())
    assert WER.of(edit_counts(_words(said).split(), _words(heard["text"]).split())) < 0.5
    segments = heard["segments"]
    assert len(segments) >= LONG_S / 10
    assert segments[0]["start"] == 0
    assert all(one["end"] == other["start"] for one, other in pairwise(segments))
    assert segments[-1]["end"] == pytest.approx(heard["duration"])
    assert heard["duration"] >= LONG_S


def test_the_subtitles_are_valid(transcribed):
    root, _, _ = transcribed
    duration_s = json.loads((root / "long.json").read_text())["duration"]
    blocks = (root / "long.srt").read_text().strip().split("\n\n")
    assert len(blocks) > LONG_S / 15
    last_end = 0.0
    for number, block in enumerate(blocks, start=1):
        count, times, *lines = block.split("\n")
        start, end = map(_seconds, times.split(" --> "))
        assert int(count) == number
        assert last_end <= start < end <= duration_s + 0.001
        assert 1 <= len(lines) <= 2
        assert max(map(len, lines)) <= 42
        last_end = end
    assert (root / "long.vtt").read_text().startswith("WEBVTT\n\n")
    assert (root / "long.vtt").read_text().count(" --> ") == len(blocks)


def _seconds(stamp: str) -> float:
    hours, minutes, seconds = stamp.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _words(text: str) -> str:
    return " ".join("".join(c for c in text.lower() if c.isalnum() or c.isspace()).split())
