"""What `stats` counts, against counts made by hand."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auricle.data.stats import EDGES_S, collect


def write(path: Path, *lines: dict[str, Any] | str) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def turns(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(texts)]


@pytest.fixture
def data(tmp_path: Path) -> list[Path]:
    speech = write(
        tmp_path / "speech.jsonl",
        {"audio": "a.wav", "text": "one two three", "language": "en", "speaker": "eva", "duration_s": 1800},
        {"audio": "b.wav", "text": "eins", "language": "de", "speaker": "bob", "duration_s": 900, "source": "calls"},
        {"audio": "c.wav", "text": "", "language": "en", "speaker": "eva", "duration_s": 2},
        {"audio": "d.wav", "text": "sad", "task": "emotion", "duration_s": 0.5},
        "{oops",
    )
    talks = write(
        tmp_path / "talks.jsonl",
        {"messages": turns("<audio>", "Hello there.", "<audio>", "Bye."), "audios": ["e", "f"], "duration": [4, 6]},
        {"messages": turns("<audio>Mood?", "Good."), "audios": ["g"], "duration": 5},
        {"system": "Be brief.", "query": "What?", "response": "That."},
        {
            "query": "<audio>Who?",
            "audio": "h",
            "chosen": "Eva is",
            "rejected": "Bob",
            "dimension": "safety",
            "duration": 8,
        },
        {"query": "<audio>Who?", "audio": "h", "chosen": "a", "rejected": "b c d", "duration": 8},
    )
    return [speech, talks]


def test_everything_is_counted(data: list[Path]):
    told: list[tuple[int, int]] = []
    found = collect(data, watch=lambda done, total: told.append((done, total)))
    assert (found.num_records, found.num_unreadable, found.num_recordings, found.num_unknown) == (9, 1, 9, 0)
    assert told == [(done, 10) for done in range(1, 11)]
    assert found.num_speakers == 2
    durations = [1800, 900, 2, 0.5, 4, 6, 5, 8, 8]
    assert found.hours == pytest.approx(sum(durations) / 3600)
    records = {by: {value: count for value, (count, _) in values.items()} for by, values in found.groups.items()}
    assert records == {
        "source": {"calls": 1, "speech": 3, "talks": 5},
        "task": {"asr": 3, "emotion": 1},
        "language": {"de": 1, "en": 2, "unknown": 1},
        "kind": {"analysis": 1, "labelled": 4, "preference": 2, "text": 1, "voice chat": 1},
        "dimension": {"safety": 1, "unknown": 1},
    }
    assert found.groups["language"]["en"][1] == pytest.approx(1802 / 3600)
    assert found.groups["kind"]["voice chat"][1] == pytest.approx(10 / 3600)
    assert sum(hours for _, hours in found.groups["source"].values()) == pytest.approx(found.hours)
    assert found.durations_s["0%"] == 0.5
    assert found.durations_s["50%"] == np.median(durations)
    assert found.durations_s["100%"] == 1800
    assert dict(found.histogram) == dict.fromkeys(map(float, EDGES_S), 0) | {0: 1, 2: 1, 3: 1, 5: 4, 300: 2}
    words = 3 + 1 + 0 + 1 + (2 + 1) + 1 + 1 + 2 + 1
    assert (found.answers["answers"], found.answers["words"], found.answers["empty"]) == (10, words, 1)
    assert (found.turns["0%"], found.turns["100%"]) == (2, 4)
    assert found.preferences == {"chosen words": 1.5, "rejected words": 2.0, "chosen longer": 0.5}


def test_lengths_that_no_line_states_are_asked_of_the_files(
    tmp_path: Path, sine: Callable[..., np.ndarray], encode_audio: Callable[..., bytes]
):
    content = encode_audio(sine(1.5)[None], container="flac", codec="flac", rate=16000)
    (tmp_path / "a.flac").write_bytes(content)
    (tmp_path / "a.txt").write_text("Hello.")
    (tmp_path / "b.wav").write_text("no sound")
    (tmp_path / "b.txt").write_text("Gone.")
    found = collect([tmp_path], task="emotion")
    assert (found.num_records, found.num_recordings, found.num_unknown) == (2, 2, 1)
    assert found.durations_s["100%"] == 1.5
    assert found.groups["task"] == {"emotion": (2, 1.5 / 3600)}
    assert "2 recordings, 0 speakers, 1 of unknown length" in found.to_lines()


def test_nothing_but_bad_lines(tmp_path: Path):
    found = collect([write(tmp_path / "set.jsonl", "{", "{")])
    assert (found.num_records, found.num_unreadable, found.hours, found.durations_s, found.turns) == (0, 2, 0, {}, {})
    assert found.to_lines()[-1] == "2 lines cannot be read: auricle data validate explains them"


def test_it_is_shown_to_people_and_written_as_json(data: list[Path]):
    found = collect(data)
    assert json.loads(json.dumps(asdict(found)))["groups"]["task"]["asr"] == [3, pytest.approx(2702 / 3600)]
    lines = found.to_lines()
    assert "preferences: chosen words 1.50, rejected words 2, chosen longer 0.50" in lines
    bars = [line for line in lines if " to " in line or "over 300" in line]
    assert len(bars) == len(EDGES_S)
    assert max(line.count("#") for line in bars) == 40
    assert [line.count("#") for line in bars if line.endswith(" 1")] == [10, 10, 10]
    assert found.to_table().row_count == 1 + sum(map(len, found.groups.values()))
