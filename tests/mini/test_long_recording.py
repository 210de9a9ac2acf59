"""An hour through the command: the memory of a minute, every part heard where it is, valid subtitles."""

import json
import subprocess
import sys
from itertools import cycle, pairwise
from pathlib import Path

import numpy as np
import pytest
import srt
from assembled import RATE, Assembled, assemble, write_flac

from auricle.audio import load
from auricle.metrics import WER, edit_counts

pytestmark = [
    pytest.mark.slow,
    pytest.mark.mini,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux how much memory a process ever had"),
]
RECORDINGS = Path(__file__).parents[2] / "examples" / "recordings"
SPOKEN = ("librivox", "prompt")  # taken in turn
HOUR_S = 3600
# The kernel's high-water mark of the process; ru_maxrss would begin with that of the process that forked it.
COMMAND = """
import sys
from pathlib import Path
from auricle.cli.main import main

try:
    main()
finally:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    print(int(line.split()[1]) / 1024, file=sys.stderr)
"""


def spoken(num_parts: int, pauses_s: np.ndarray) -> tuple[Assembled, str]:
    names = [name for name, _ in zip(cycle(SPOKEN), range(num_parts), strict=False)]
    words = " ".join((RECORDINGS / f"{name}.txt").read_text() for name in names)
    return assemble([load(RECORDINGS / f"{name}.flac").samples for name in names], list(pauses_s)), words


def transcribe(path: Path, out: Path) -> float:
    """Run the command -> the most memory it ever held, in MiB."""
    command = [sys.executable, "-c", COMMAND, "transcribe", path, "-f", "all", "-o", out, "--device", "cpu"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    return float(done.stderr.splitlines()[-1])


@pytest.fixture(scope="module")
def transcribed(tmp_path_factory):
    """The minute is as dense as speech gets, the hour has long pauses: together a few minutes of speech."""
    root = tmp_path_factory.mktemp("long")
    minute, _ = spoken(10, np.full(11, 1.0))
    pauses_s = np.random.default_rng(0).uniform(5, 55, 101)
    speech_s = 50 * sum(end - start for start, end in spoken(2, np.ones(3))[0].spans)
    pauses_s *= (HOUR_S - speech_s) / pauses_s.sum()
    hour, said = spoken(100, pauses_s)
    peaks = {
        name: transcribe(write_flac(root / f"{name}.flac", each.samples), root)
        for name, each in (("minute", minute), ("hour", hour))
    }
    return root, hour, said, peaks


def test_memory_is_that_of_a_minute(transcribed):
    _, _, _, peaks = transcribed
    print(peaks)
    assert peaks["hour"] < 1.5 * peaks["minute"]


def test_every_part_is_heard_where_it_is(transcribed):
    root, hour, said, _ = transcribed
    heard = json.loads((root / "hour.json").read_text())
    assert WER.of(edit_counts(_words(said).split(), _words(heard["text"]).split())) < 0.5
    segments = heard["segments"]
    assert len(segments) == len(hour.spans)
    for segment, (start, end) in zip(segments, hour.spans, strict=True):
        assert abs(segment["start"] - start) <= 0.3
        assert abs(segment["end"] - end) <= 0.3
    assert heard["duration"] == pytest.approx(len(hour.samples) / RATE, abs=0.01)
    assert heard["duration"] == pytest.approx(HOUR_S, abs=1)


def test_the_subtitles_are_valid(transcribed):
    root, hour, _, _ = transcribed
    subtitles = list(srt.parse((root / "hour.srt").read_text(), ignore_errors=False))
    assert len(subtitles) >= 0.9 * len(hour.spans)
    assert [subtitle.index for subtitle in subtitles] == list(range(1, len(subtitles) + 1))
    assert all(subtitle.start < subtitle.end for subtitle in subtitles)
    assert all(one.end <= other.start for one, other in pairwise(subtitles))
    assert subtitles[-1].end.total_seconds() <= HOUR_S + 1
    assert all(1 <= len(subtitle.content.splitlines()) <= 2 for subtitle in subtitles)
    assert max(len(line) for subtitle in subtitles for line in subtitle.content.splitlines()) <= 42
    assert (root / "hour.vtt").read_text().startswith("WEBVTT\n\n")
    assert (root / "hour.vtt").read_text().count(" --> ") == len(subtitles)


def _words(text: str) -> str:
    return " ".join("".join(c for c in text.lower() if c.isalnum() or c.isspace()).split())
