"""All that is wrong with data is said at once, and nothing else."""

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auricle.data.manifest import open_records
from auricle.data.parallel import in_order
from auricle.data.records import Recording
from auricle.data.validate import Heard, Report, decoded, examine, present, problems, validate
from auricle.errors import UserError

Encode = Callable[..., bytes]
Sine = Callable[..., np.ndarray]


@pytest.fixture
def sounds(tmp_path: Path, encode_audio: Encode, sine: Sine) -> Path:
    """Good and bad recordings."""

    def write(name: str, samples: np.ndarray, codec: str = "pcm_s16le") -> bytes:
        content = encode_audio(samples[None], container="wav", codec=codec, rate=16000)
        (tmp_path / name).write_bytes(content)
        return content

    write("good.wav", sine(1.0))
    write("other.wav", sine(0.5))
    write("short.wav", sine(0.02))
    write("silent.wav", np.zeros(16000, np.float32))
    write("faint.wav", sine(1.0) * 0.0018)
    write("quiet.wav", sine(1.0) * 0.0024)
    write("nan.wav", np.full(16000, np.nan, np.float32), codec="pcm_f32le")
    content = encode_audio(sine(3.0)[None], container="flac", codec="flac", rate=16000)
    (tmp_path / "broken.flac").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.wav").write_text("no sound")
    return tmp_path


def manifest(folder: Path, *lines: dict[str, Any] | str) -> Path:
    path = folder / "set.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def line(name: str, **fields: Any) -> dict[str, Any]:
    return {"audio": name, "text": "Hello.", **fields}


def test_every_bad_line_is_explained_and_no_good_one(sounds: Path):
    talk = {"messages": [{"role": "user", "content": "<audio>"}, {"role": "assistant", "content": "x"}]}
    path = manifest(
        sounds,
        line("good.wav", duration_s=1.0),
        "{oops",
        line("missing.wav"),
        line("short.wav"),
        line("silent.wav"),
        line("nan.wav"),
        line("text.wav"),
        line("broken.flac"),
        line("other.wav", duration_s=0.7),
        {"audoi": "good.wav", "text": "x"},
        talk,
        talk | {"audios": ["other.wav"]},
        {"query": "?", "chosen": "a", "rejected": "b", "audio": "good.wav", "rejected_audios": ["silent.wav"]},
        line("faint.wav"),
        line("quiet.wav"),
    )
    expected = [
        (2, "is not JSON"),
        (3, f"no such file: {sounds}/missing.wav"),
        (4, "recording too short: got 2 mel frames"),
        (5, "silent.wav is silent: got a peak of 0, expected 0.001 of full scale or more"),
        (6, "nan.wav are not finite"),
        (7, f"cannot decode {sounds}/text.wav"),
        (8, "broken.flac is damaged: left out what cannot be decoded"),
        (9, "other.wav lasts 0.50 s, but 0.7 s are stated; expected the same within 5 %"),
        (10, "did you mean `audio`?"),
        (11, "1 places `<audio>` and 0 recordings"),
        (13, "silent.wav is silent"),
        (14, "faint.wav is silent: got a peak of 0.00089"),
    ]
    *_, report = validate([path])
    assert [problem.where for problem in report.problems] == [f"{path}:{number}" for number, _ in expected]
    for problem, (_, sentence) in zip(report.problems, expected, strict=True):
        assert sentence in problem.what
        assert str(path) not in problem.what
    assert (report.num_records, report.num_problems, report.total) == (15, 12, 15)
    assert [str(problem) for problem in problems(open_records(path))] == list(map(str, report.problems))


@pytest.mark.parametrize(
    ("stated_s", "bad"), [(1.0, False), (1.14, False), (1.16, True), (0.86, False), (0.84, True), (None, False)]
)
def test_how_far_a_stated_duration_may_be_off(sounds: Path, stated_s: float | None, bad: bool):
    heard = decoded(Recording(sounds / "good.wav", duration_s=stated_s))
    assert heard.duration_s == 1.0
    assert (heard.problem is not None) == bad


def test_members_of_shards_are_decoded_where_they_lie(sounds: Path):
    good, silent = ((sounds / name).read_bytes() for name in ("good.wav", "silent.wav"))
    path = sounds / "two.bin"
    path.write_bytes(b"xxx" + good + silent)
    assert decoded(Recording(path, 3, len(good))) == Heard(1.0)
    found = decoded(Recording(path, 3 + len(good), len(silent)))
    assert found.problem == "the recording is silent: got a peak of 0, expected 0.001 of full scale or more"


def test_a_recording_of_many_lines_is_decoded_once(sounds: Path):
    path = manifest(sounds, *[line("good.wav", id=str(number)) for number in range(9)])
    asked: list[Recording] = []
    lock = threading.Lock()

    def check(recording: Recording) -> Heard:
        with lock:
            asked.append(recording)
        return Heard(1.0, "bad")

    found = list(examine(open_records(path), check))
    assert len(found) == 9
    assert all(len(examined.problems) == 1 for examined in found)
    assert len(asked) <= 2  # two threads may both be the first


def test_presence_alone_decodes_nothing(sounds: Path):
    path = manifest(sounds, line("text.wav"), line("gone.wav"), line("good.wav", duration_s=9.0))
    found = list(problems(open_records(path), present))
    assert list(map(str, found)) == [f"{path}:2: no such file: {sounds}/gone.wav; check the path"]
    assert present(Recording(sounds / "good.wav", duration_s=9.0)) == Heard(9.0)


def test_a_report_counts_all_and_keeps_some(sounds: Path):
    path = manifest(sounds, *["{"] * 5, line("good.wav"))
    *_, report = validate([path, path], max_shown=3)
    assert (report.num_problems, len(report.problems), report.audio_s, report.num_recordings) == (10, 3, 2.0, 2)
    assert report.to_text().splitlines()[3:] == ["... and 7 more", "12 records, 2 recordings, 2.0 s: 10 problems"]
    assert report.to_json()["num_problems"] == 10
    assert Report(2, 1, 2, 2, 5400.0).to_text() == "2 records, 2 recordings, 1.50 h: 0 problems"
    assert Report(20, 1, num_records=7).to_text() == "7 of 20 records, 0 recordings, 0.0 s: 0 problems"


def test_the_task_reaches_the_lines(sounds: Path):
    path = manifest(sounds, line("good.wav"))
    *_, report = validate([path], task="singing")
    assert "unknown task 'singing'" in report.problems[0].what


def test_stopping_early_leaves_no_thread_and_no_handler(sounds: Path):
    path = manifest(sounds, *[line("good.wav", id=str(number)) for number in range(40)])
    logger = logging.getLogger("auricle.audio.decode")
    before = threading.active_count(), list(logger.handlers)
    reports = validate([path])
    report = next(reports)
    assert threading.active_count() > before[0]
    reports.close()
    assert report.num_records == 1
    assert (threading.active_count(), logger.handlers) == before


@pytest.mark.parametrize("num_threads", [1, 3])
def test_results_come_in_order_and_a_mistake_ends_them(num_threads: int):
    release = threading.Event()

    def square(number: int) -> int:
        if number == 0 and num_threads > 1:
            release.wait(10)
        if number == 2:
            release.set()
        if number == 20:
            raise UserError("twenty")
        return number * number

    assert list(in_order(square, 20, num_threads)) == [number * number for number in range(20)]
    with pytest.raises(UserError, match="twenty"):
        list(in_order(square, 30, num_threads))
    assert list(in_order(square, 0, num_threads)) == []
