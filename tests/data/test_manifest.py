"""Data sets as sequences: lines of JSON and folders; nothing but places is held."""

import json
import os
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from auricle.data.manifest import open_records
from auricle.data.records import Dialogue, Labelled, Recording
from auricle.errors import UserError


def write(path: Path, *lines: dict[str, Any] | str) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def labelled(number: int) -> dict[str, Any]:
    return {"audio": f"{number}.wav", "text": f"Text {number}.", "id": str(number)}


def targets(path: Path) -> list[str]:
    return [record.target for record in open_records(path) if isinstance(record, Labelled)]


def test_lines_are_read_when_they_are_asked_for(tmp_path: Path):
    path = write(tmp_path / "set.jsonl", *map(labelled, range(5)))
    records = open_records(path)
    assert len(records) == 5
    assert [record.id for record in records] == ["0", "1", "2", "3", "4"]
    assert records[-1] == records[4]
    assert [record.id for record in records[1:4:2]] == ["1", "3"]
    assert records[2].recordings == (Recording(tmp_path / "2.wav"),)
    assert records[2].where == f"{path}:3"
    assert records[2].source == "set"
    with pytest.raises(IndexError):
        records[5]
    with pytest.raises(IndexError):
        records[-6]


@pytest.mark.parametrize("content", ["\n  \n{0}\n\n{1}\n\n\n{2}\n", "{0}\r\n{1}\r\n{2}", "\ufeff{0}\n{1}\n\t\n{2}"])
def test_blank_lines_and_other_line_ends(tmp_path: Path, content: str):
    path = tmp_path / "set.jsonl"
    path.write_bytes(content.format(*(json.dumps(labelled(number)) for number in range(3))).encode())
    records = open_records(path)
    assert targets(path) == ["Text 0.", "Text 1.", "Text 2."]
    lines = path.read_text().splitlines()
    for record in records:
        line = lines[int(record.where.rpartition(":")[2]) - 1]
        assert json.loads(line.removeprefix("\ufeff"))["id"] == record.id


def test_a_bad_line_harms_no_other(tmp_path: Path):
    records = open_records(write(tmp_path / "set.jsonl", labelled(0), "{oops", labelled(2), {"text": "x"}))
    assert len(records) == 4
    assert [records[0].id, records[2].id] == ["0", "2"]
    for index, sentence in ((1, "is not JSON"), (3, "the line has `text`")):
        with pytest.raises(UserError, match=rf"set.jsonl:{index + 1}: .*{sentence}"):
            records[index]


def test_the_task_of_lines_that_name_none(tmp_path: Path):
    path = write(tmp_path / "set.jsonl", labelled(0), labelled(1) | {"task": "music"})
    assert [record.task for record in open_records(path, task="emotion")] == ["emotion", "music"]


def test_a_manifest_goes_to_workers_and_back(tmp_path: Path):
    records = open_records(write(tmp_path / "set.jsonl", *map(labelled, range(3))))
    assert list(pickle.loads(pickle.dumps(records))) == list(records)


def test_a_huge_file_costs_two_numbers_a_line(tmp_path: Path):
    count = 200_000
    path = tmp_path / "huge.jsonl"
    with path.open("w") as file:
        for number in range(count):
            file.write(json.dumps(labelled(number) | {"licence": "x" * 50}) + "\n")
    tracemalloc.start()
    records = open_records(path)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(records) == count
    assert held < 20 * count < path.stat().st_size / 5
    assert peak < 40 * count
    assert records[count - 1].id == str(count - 1)
    assert len(pickle.dumps(records)) < 20 * count


def test_files_that_hold_no_lines(tmp_path: Path):
    cases: list[tuple[str, bytes | None, str]] = [
        (
            "missing.jsonl",
            None,
            "cannot read the data .*missing.jsonl: No such file or directory; expected a file of JSON",
        ),
        ("empty.jsonl", b"\n \n", "empty.jsonl holds no line; expected one JSON object on each"),
        ("array.json", b'\n [{"audio": "a.wav"}]', "array.json is one JSON array; expected an object on each line"),
        ("zipped.jsonl.gz", b"\x1f\x8b\x08rest", "zipped.jsonl.gz is compressed, so no line in it can be found"),
    ]
    for name, content, sentence in cases:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=sentence):
            open_records(tmp_path / name)


def test_a_line_in_another_encoding(tmp_path: Path):
    path = tmp_path / "set.jsonl"
    path.write_bytes('{"audio": "a.wav", "text": "Größe"}\n'.encode("latin-1"))
    with pytest.raises(UserError, match=r"set.jsonl:1: byte 30 is not UTF-8; expected text in UTF-8"):
        open_records(path)[0]


def test_a_file_that_goes_away(tmp_path: Path):
    path = write(tmp_path / "set.jsonl", labelled(0))
    records = open_records(path)
    path.unlink()
    with pytest.raises(UserError, match=r"cannot read .*set.jsonl: No such file or directory; put the file back"):
        records[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """LibriSpeech's layout, transcripts beside recordings, and JSON beside one."""
    root = tmp_path / "speech"
    book = root / "19" / "198"
    book.mkdir(parents=True)
    for name in ("19-198-0000.flac", "19-198-0001.flac"):
        (book / name).touch()
    (book / "19-198.trans.txt").write_text("19-198-0000 NORTHANGER ABBEY\n19-198-0001 THIS LITTLE WORK\n")
    for name in ("b.wav", "a.MP3", "c.ogg", "notes.txt", "cover.png"):
        (root / name).touch()
    (root / "a.txt").write_text(" Hello there.\n")
    (root / "b.txt").write_text("Bye.")
    (root / "c.json").write_text('{"query": "Who?", "response": "Eva.",\n "source": "quiz"}')
    return root


def test_a_folder_of_recordings_with_transcripts(folder: Path):
    records = list(open_records(folder))
    assert [(record.recordings[0].path.name, record.where, record.source) for record in records] == [
        ("a.MP3", str(folder / "a.MP3"), "speech"),
        ("b.wav", str(folder / "b.wav"), "speech"),
        ("c.ogg", str(folder / "c.json"), "quiz"),
        ("19-198-0000.flac", f"{folder}/19/198/19-198.trans.txt:1", "speech"),
        ("19-198-0001.flac", f"{folder}/19/198/19-198.trans.txt:2", "speech"),
    ]
    assert [record.target for record in records if isinstance(record, Labelled)] == [
        "Hello there.",
        "Bye.",
        "NORTHANGER ABBEY",
        "THIS LITTLE WORK",
    ]
    assert isinstance(records[2], Dialogue)
    assert [record.id for record in records[3:]] == ["19-198-0000", "19-198-0001"]
    assert pickle.loads(pickle.dumps(open_records(folder)))[4] == records[4]


def test_a_folders_json_may_name_its_recordings(folder: Path):
    (folder / "c.json").write_text(
        '{"audios": ["c.ogg", "19/198/19-198-0000.flac"], "query": "Same?", "response": "No."}'
    )
    record = open_records(folder)[2]
    assert [recording.path for recording in record.recordings] == [
        folder / "c.ogg",
        folder / "19/198/19-198-0000.flac",
    ]


def test_what_does_not_pair_up_in_a_folder_is_named(folder: Path):
    (folder / "lost.wav").touch()
    table = folder / "19" / "198" / "19-198.trans.txt"
    table.write_text(table.read_text() + "\n19-198-0007 GONE\n")
    records = open_records(folder)
    assert len(records) == 7
    sentences = []
    for index in range(7):
        try:
            records[index]
        except UserError as error:
            sentences.append(str(error))
    assert sentences == [
        f"{folder}/lost.wav: no transcript; expected lost.txt, lost.json or a line of *.trans.txt",
        f"{table}:4: no recording '19-198-0007' beside the table; expected for example 19-198-0007.flac",
    ]


def test_a_folder_without_recordings(tmp_path: Path):
    (tmp_path / "train-0.tar").touch()
    with pytest.raises(UserError, match=r"no recording under the folder .*; expected for example x.flac with x.txt"):
        open_records(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path):
    path = write(tmp_path / "set.jsonl", labelled(0))
    path.chmod(0)
    with pytest.raises(UserError, match="Permission denied"):
        open_records(path)
