"""Quality control end to end: what is dropped, why, what is written, and a run that goes on after a kill."""

import csv
import errno
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from auricle.conversation import Audio, Message
from auricle.data import Dialogue, Labelled, Preference, Record, Recording
from auricle.data import measured as measured_module
from auricle.data.leakage import normalise, read_forbidden
from auricle.data.manifest import open_records
from auricle.data.measured import measure_all
from auricle.data.prepare import prepare
from auricle.data.quality import QualityLimits
from auricle.data.review import tightened
from auricle.data.screen import PrepareSettings
from auricle.data.writing import to_line
from auricle.errors import UserError

Write = Callable[..., Path]


@pytest.fixture
def voice(tmp_path: Path, encode_audio: Callable[..., bytes]) -> Write:
    """A clear recording of its own pitch: bursts of a tone with pauses, over a faint noise."""

    def write(name: str, *, duration_s: float = 2.0, noise: float = 1e-3, gain: float = 0.3) -> Path:
        seed = sum(name.encode())
        time = np.arange(round(duration_s * 16000)) / 16000
        tone = gain * np.sin(2 * np.pi * (200 + 7 * seed % 800) * time) * (time % 0.5 < 0.3)
        samples = tone + noise * np.random.default_rng(seed).normal(size=len(time))
        path = tmp_path / name
        path.write_bytes(encode_audio(samples.clip(-1, 1)[None], container="wav", codec="pcm_s16le", rate=16000))
        return path

    return write


def manifest(folder: Path, *lines: dict | str, name: str = "in.jsonl") -> Path:
    path = folder / name
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def reasons(report) -> dict[str, int]:
    return {reason: dropped.num for reason, dropped in report.dropped.items()}


def test_what_is_good_is_kept_and_read_back_with_its_length(tmp_path: Path, voice: Write):
    voice("a.wav"), voice("b.wav", duration_s=3.0)
    data = manifest(
        tmp_path,
        {"audio": "a.wav", "text": "good morning", "language": "en", "id": "one", "speaker": "anna"},
        {"messages": [{"role": "user", "content": "<audio>Why?"}, {"role": "assistant", "content": "So."}],
         "audios": ["b.wav"], "complexity": "complex"},
    )  # fmt: skip
    report = prepare([data], tmp_path / "out.jsonl")
    assert (report.num_records, report.num_kept, report.dropped) == (2, 2, {})
    assert report.kept_by == {"asr": 1, "analysis": 1}
    assert report.kept_hours == report.hours == pytest.approx(5 / 3600)
    before, after = list(open_records(data)), list(open_records(tmp_path / "out.jsonl"))
    assert [part.duration_s for record in after for part in record.recordings] == [2.0, 3.0]
    for old, new in zip(before, after, strict=True):
        timed = tuple(replace(p, duration_s=q.duration_s) for p, q in zip(old.recordings, new.recordings, strict=True))
        assert replace(new, where=old.where, recordings=timed) == replace(old, recordings=timed)
    written = json.loads((tmp_path / "out.report.json").read_text())
    assert written == json.loads(json.dumps(report.to_json()))
    assert written["balance"]["counts"]["complexity"] == {"simple": 0, "complex": 1}
    assert "kept 2 of 2 records, 0.00 of 0.00 h" in report.to_text()


def test_every_reason_to_drop(tmp_path: Path, voice: Write, encode_audio: Callable[..., bytes]):
    for name in "abcdefgh":
        voice(f"{name}.wav")
    voice("noisy.wav", noise=0.3), voice("loud.wav", gain=40.0, noise=0), voice("short.wav", duration_s=0.1)
    (tmp_path / "broken.wav").write_bytes(b"nothing")
    silence = np.zeros((1, 32000), np.float32)
    (tmp_path / "silent.wav").write_bytes(encode_audio(silence, container="wav", codec="pcm_s16le", rate=16000))
    (tmp_path / "same.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    reject, forbid = tmp_path / "reject.txt", tmp_path / "forbid.txt"
    reject.write_text("# heard by a person\n\nmumbled\n")
    forbid.write_text("The quick, brown fox!\nBoris\n")
    data = manifest(
        tmp_path,
        {"audio": "a.wav", "text": "good morning", "language": "en"},
        {"audio": "noisy.wav", "text": "x"},
        {"audio": "loud.wav", "text": "x"},
        {"audio": "short.wav", "text": "x"},
        {"audio": "silent.wav", "text": "x"},
        {"audio": "broken.wav", "text": "x"},
        {"audio": "missing.wav", "text": "x"},
        "{",
        {"audio": "b.wav", "text": "joy", "task": "emotoin"},
        {"audio": "b.wav", "text": "Добрый день", "language": "en"},
        {"audio": "b.wav", "text": "mail anna@example.org or b@example.org", "language": "en"},
        {"audio": "c.wav", "text": "fine", "id": "mumbled"},
        {"audio": "c.wav", "text": "the QUICK brown fox"},
        {"audio": "c.wav", "text": "fine", "speaker": "boris"},
        {"audio": "same.wav", "text": "good  morning", "language": "en"},
    )
    report = prepare([data], tmp_path / "out.jsonl", PrepareSettings(reject=reject, forbid=(forbid,)))
    lines = {
        reason: [int(re.search(r"in\.jsonl:(\d+)", example)[1]) for example in dropped.examples]
        for reason, dropped in report.dropped.items()
    }
    assert lines == {
        "noisy": [2, 3, 4],  # the third is cut waves, the fourth too short to have a pause
        "clipped": [3],
        "too short": [4],
        "silent": [5],
        "cannot be heard": [6, 7],
        "bad line": [8, 9],
        "language": [10],
        "personal data, e-mail": [11],
        "rejected by hand": [12],
        "test data": [13, 14],
        "duplicate": [15],
    }
    assert reasons(report) == {reason: len(of) for reason, of in lines.items()}
    assert report.num_kept == 1
    examples = {reason: dropped.examples for reason, dropped in report.dropped.items()}
    assert examples["duplicate"] == [f"{data}:15: as {data}:1"]
    assert "unknown task 'emotoin'" in examples["bad line"][1]
    assert "missing.wav" in examples["cannot be heard"][1]
    assert re.fullmatch(rf"{data}:2: -?[\d.]+ dB, under 5 dB", examples["noisy"][0])
    assert examples["personal data, e-mail"] == [f"{data}:11: an... (16 characters)"]
    assert "example.org" not in report.to_text() + (tmp_path / "out.report.json").read_text()
    assert report.dropped["test data"].hours == pytest.approx(4 / 3600)
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 1


def test_filters_can_be_left_out(tmp_path: Path, voice: Write):
    voice("a.wav"), voice("noisy.wav", noise=0.3)
    data = manifest(
        tmp_path,
        {"audio": "noisy.wav", "text": "mail anna@example.org"},
        {"audio": "a.wav", "text": "Добрый день", "language": "en"},
        {"audio": "a.wav", "text": "Добрый день", "language": "en"},
    )
    off = PrepareSettings(off=("quality", "language", "personal", "duplicates"))
    assert prepare([data], tmp_path / "all.jsonl", off).num_kept == 3
    assert reasons(prepare([data], tmp_path / "some.jsonl", PrepareSettings(off=("language",)))) == {
        "noisy": 1, "personal data, e-mail": 1, "duplicate": 1,
    }  # fmt: skip


def test_limits_and_regions_are_the_users(tmp_path: Path, voice: Write):
    voice("a.wav")
    data = manifest(tmp_path, {"audio": "a.wav", "text": "ruf 030 901820 an"})
    assert prepare([data], tmp_path / "o.jsonl").num_kept == 1
    assert reasons(prepare([data], tmp_path / "o.jsonl", PrepareSettings(regions=("DE",)))) == {
        "personal data, phone": 1
    }
    short = PrepareSettings(quality=QualityLimits(max_s=1.0))
    assert reasons(prepare([data], tmp_path / "o.jsonl", short)) == {"too long": 1}


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, voice: Write, monkeypatch: pytest.MonkeyPatch):
    for name in "abcde":
        voice(f"{name}.wav")
    data = manifest(tmp_path, *({"audio": f"{name}.wav", "text": f"text {name}"} for name in "abcde"))
    out, measured_files = tmp_path / "out.jsonl", []
    real = measured_module.measure_quality

    def killed_at_the_third(waveform):
        measured_files.append(1)
        if len(measured_files) == 3:
            raise KeyboardInterrupt
        return real(waveform)

    monkeypatch.setattr(measured_module, "measure_quality", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        prepare([data], out, num_threads=1)
    assert not out.exists()
    cache = tmp_path / "out.measured.jsonl"
    assert sum(bool(line.strip()) for line in cache.read_text().splitlines()) == 2
    with cache.open("a") as file:
        file.write('{"key": "torn')  # as a kill leaves it

    seen: list[tuple[int, int]] = []
    measured_files.clear()
    monkeypatch.setattr(measured_module, "measure_quality", lambda w: (measured_files.append(1), real(w))[1])
    resumed = prepare([data], out, num_threads=1, watch=lambda done, total: seen.append((done, total)))
    assert len(measured_files) == 3
    assert seen == [(3, 5), (4, 5), (5, 5)]
    whole = out.read_bytes()
    cache.unlink()
    assert prepare([data], out, num_threads=2) == resumed
    assert out.read_bytes() == whole
    assert resumed.num_kept == 5


def test_a_changed_recording_is_measured_again(tmp_path: Path, voice: Write):
    path = voice("a.wav")
    cache, recording = tmp_path / "cache.jsonl", Recording(path)
    assert measure_all([recording], cache)[recording].quality.duration_s == 2.0
    voice("a.wav", duration_s=3.0)
    assert measure_all([recording, recording], cache)[recording].quality.duration_s == 3.0
    assert sum(bool(line.strip()) for line in cache.read_text().splitlines()) == 2


def test_what_could_not_be_heard_is_tried_again(tmp_path: Path, voice: Write):
    recording = Recording(tmp_path / "late.wav")
    cache = tmp_path / "cache.jsonl"
    assert "late.wav" in measure_all([recording], cache)[recording].error
    voice("late.wav")
    assert measure_all([recording], cache)[recording].quality is not None


def test_the_review_sheets(tmp_path: Path, voice: Write):
    for name in "abcdefghij":
        voice(f"{name}.wav")
    voice("border.wav", duration_s=0.35)
    data = manifest(
        tmp_path,
        *({"audio": f"{name}.wav", "text": f"text <{name}>", "id": name} for name in "abcdefghij"),
        {"audio": "border.wav", "text": "hm", "id": "border"},
    )
    sheet = tmp_path / "sheet.tsv"
    report = prepare([data], tmp_path / "o.jsonl", PrepareSettings(review=sheet, review_sample=5))
    rows = list(csv.DictReader(sheet.read_text().splitlines(), delimiter="\t"))
    assert [row["id"] for row in rows] == ["border", "a", "c", "e", "g", "i"]
    assert rows[0]["why"].startswith("borderline: too short: 0.35 s")
    assert {row["why"] for row in rows[1:]} == {"sample"}
    assert rows[0]["recordings"] == str(tmp_path / "border.wav")
    assert report.num_to_review == len(rows)
    assert "to hear in the review sheet: 6" in report.to_text()

    page = tmp_path / "sheet.html"
    prepare([data], tmp_path / "o.jsonl", PrepareSettings(review=page, review_sample=0))
    text = page.read_text()
    assert "1 records to hear" in text
    assert text.count("<audio") == 1
    assert (tmp_path / "border.wav").as_uri() in text
    prepare([data], tmp_path / "o.jsonl", PrepareSettings(review=page))
    assert "text &lt;a&gt;" in page.read_text()

    reject = tmp_path / "reject.txt"
    reject.write_text("border\n" + f"{data}:2\n")
    rejected = prepare([data], tmp_path / "o.jsonl", PrepareSettings(reject=reject))
    assert reasons(rejected) == {"rejected by hand": 2}
    kept = {record.id for record in open_records(tmp_path / "o.jsonl")}
    assert kept == set("acdefghij")


def test_borderline_limits_are_tighter_everywhere():
    limits = QualityLimits(min_bandwidth_hz=3000.0)
    tight = tightened(limits)
    for name in limits.__dataclass_fields__:
        loose, strict = getattr(limits, name), getattr(tight, name)
        assert strict > loose if name.startswith("min") else strict < loose


def test_test_data_are_forbidden_by_text_and_id_but_labels_are_not(tmp_path: Path):
    test = manifest(
        tmp_path,
        {"audio": "t.wav", "text": "It's the TEST sentence.", "id": "t-1", "speaker": "anna"},
        {"audio": "t.wav", "text": "joy", "task": "emotion"},
        {"messages": [{"role": "user", "content": "<audio>Who?"}, {"role": "assistant", "content": "A man, I think."}],
         "audios": ["t.wav"]},
        name="test.jsonl",
    )  # fmt: skip
    forbidden = read_forbidden([test])

    def labelled(**changed: object) -> Labelled:
        return replace(Labelled("m:1", "x", "s", (), "asr", "other words"), **changed)

    def dialogue(answer: str) -> Dialogue:
        return Dialogue("d:1", "d", "s", (), (Message("user", (Audio(),)), Message("assistant", (answer,))))

    assert forbidden.objection(labelled()) is None
    assert forbidden.objection(labelled(speaker="anna")) is None
    assert forbidden.objection(labelled(id="T-1")) == "test data: the id T-1"
    assert (
        forbidden.objection(labelled(target="its the test sentence")) == "test data: the text 'its the test sentence'"
    )
    assert forbidden.objection(labelled(task="emotion", target="joy")) is None
    assert forbidden.objection(dialogue("a man i think")) == "test data: the text 'a man i think'"
    assert forbidden.objection(dialogue("joy")) is None
    chosen = Preference("p:1", "p", "s", (), (), "A man, I think!", "b")
    assert forbidden.objection(chosen) == "test data: the text 'A man, I think!'"
    names = tmp_path / "names.txt"
    names.write_text("Anna\n")
    assert read_forbidden([names]).objection(labelled(speaker="anna")) == "test data: the speaker anna"
    assert read_forbidden([names]).objection(labelled(target="anna")) == "test data: the text 'anna'"


def test_normalised_texts():
    assert normalise("It’s  Ⅳ o'clock_now!") == "its iv oclock now"
    assert normalise("Stra\u00dfe cafe\u0301") == normalise("STRASSE caf\u00e9")


RECORDING = Recording(Path("/data/x.wav"), duration_s=1.5)


@pytest.mark.parametrize(
    "record",
    [
        Labelled("", "i", "s", (RECORDING,), "asr", "a <audio> b", "en", None, "anna"),
        Labelled("", "i", "s", (Recording(Path("/data/x.wav")),), "translation", "x", "en", "de"),
        Dialogue("", "i", "s", (RECORDING,), (Message("user", (Audio(), "why?")), Message("assistant", ("so",)))),
        Dialogue(
            "", "i", "s", (RECORDING, RECORDING),
            (Message("system", ("Be kind.",)), Message("user", ("a", Audio(), "b", Audio())),
             Message("assistant", ("x",)), Message("user", ("y",)), Message("assistant", ("z",))),
            (False, True), "complex",
        ),
        Preference("", "i", "s", (RECORDING,), (Message("user", (Audio(),)),), "yes", "no", "safety"),
        Preference(
            "", "i", "s", (RECORDING,), (Message("user", (Audio(), "?")),), "yes", "no", None,
            (Recording(Path("/data/noisy.wav")),),
        ),
    ],
)  # fmt: skip
def test_a_written_line_reads_back_equal(tmp_path: Path, record: Record):
    data = tmp_path / "m.jsonl"
    data.write_text(to_line(record, tmp_path) + "\n")
    [read] = open_records(data)
    assert replace(read, where="") == record


def test_recordings_below_the_manifest_stay_relative(tmp_path: Path):
    record = Labelled("", "i", "s", (Recording(tmp_path / "clips" / "x.wav"),), "asr", "t")
    assert json.loads(to_line(record, tmp_path))["audio"] == os.path.join("clips", "x.wav")
    assert json.loads(to_line(record, tmp_path / "other"))["audio"] == str(tmp_path / "clips" / "x.wav")


def test_a_shard_is_refused_before_anything_is_heard(tmp_path: Path):
    record = Labelled("s.tar:x", "i", "s", (Recording(Path("s.tar"), 512, 99),), "asr", "t")
    with pytest.raises(UserError, match=r"s.tar:x: s.tar is a tar shard, whose members a line cannot name; unpack it"):
        to_line(record, tmp_path)


def test_settings_that_are_wrong(tmp_path: Path, voice: Write):
    voice("a.wav")
    data = manifest(tmp_path, {"audio": "a.wav", "text": "x"})
    with pytest.raises(
        UserError, match="unknown filter 'loudness': expected some of quality, language, personal, dupl"
    ):
        PrepareSettings(off=("loudness",))
    with pytest.raises(UserError, match="review_sample must not be negative: got -1; 0 asks for none"):
        PrepareSettings(review_sample=-1)
    with pytest.raises(UserError, match=r"cannot write a review sheet as x.pdf: expected a name that ends in .html"):
        prepare([data], tmp_path / "o.jsonl", PrepareSettings(review=Path("x.pdf")))
    with pytest.raises(
        UserError, match=r"cannot read the list .*no.txt: .*; expected a text file with one entry a line"
    ):
        prepare([data], tmp_path / "o.jsonl", PrepareSettings(reject=tmp_path / "no.txt"))
    with pytest.raises(UserError, match="expected a file's name in a folder that exists; make the folder first"):
        prepare([data], tmp_path / "no" / "o.jsonl")
    assert not (tmp_path / "o.measured.jsonl").exists()


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, voice: Write, monkeypatch: pytest.MonkeyPatch):
    voice("a.wav")
    data, out = manifest(tmp_path, {"audio": "a.wav", "text": "x"}), tmp_path / "out.jsonl"
    out.write_text("the old one\n")

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(UserError, match="No space left on device; make room or allow writing there"):
            prepare([data], out)
    assert out.read_text() == "the old one\n"
    assert not list(tmp_path.glob("*.part"))
    with pytest.raises(UserError, match=r"cannot write .*: .*; make room, or give another --out"):
        measure_all([Recording(tmp_path / "a.wav")], tmp_path)
