"""The chats of AIR-Bench, made small, on disk and on a server."""

import json
from pathlib import Path
from typing import Any

import pytest
from local_server import Served, serve

from auricle.errors import UserError
from auricle.evaluate.datasets import airbench
from auricle.evaluate.published import ROWS

TASKS = tuple(dict.fromkeys(task for row in ROWS if row.dataset == "airbench" for task in row.sources))


def entry(number: int, task: str, **changed: Any) -> dict[str, Any]:
    usual = {
        "path": f"clip {number}.wav",
        "task_name": task,
        "dataset_name": "iemocap",
        "question": f"What about {number}?",
        "answer_gt": f"It is {number}.",
        "meta_info": f"Someone counts to {number}.",
        "uniq_id": number,
    }
    return usual | changed


ENTRIES = [entry(number, task) for number, task in enumerate(TASKS)]


def write(folder: Path, entries: object) -> Path:
    (folder / "Chat").mkdir(exist_ok=True)
    (folder / "Chat" / "Chat_meta.json").write_text(json.dumps(entries))
    return folder


@pytest.fixture
def release(tmp_path: Path) -> Path:
    write(tmp_path, ENTRIES)
    for one in ENTRIES:
        path = tmp_path / "Chat" / f"{one['task_name']}_iemocap" / one["path"]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(f"sound {one['uniq_id']}".encode())
    return tmp_path


@pytest.mark.parametrize("below", ["", "Chat"])
def test_every_question_with_what_the_judge_reads(release: Path, below: str):
    samples = airbench.read(release / below)
    assert [sample.source for sample in samples] == list(TASKS)
    first = samples[0]
    assert (first.id, first.dataset, first.task) == ("0", "airbench", "chat")
    assert (first.prompt, first.reference) == ("What about 0?", "It is 0.")
    assert dict(first.details) == {"meta_info": "Someone counts to 0.", "dataset_name": "iemocap"}
    assert first.audio.read_bytes() == b"sound 0"


def test_recordings_that_are_not_there(release: Path, tmp_path_factory: pytest.TempPathFactory):
    (release / "Chat" / "speech_QA_iemocap" / "clip 0.wav").unlink()
    with pytest.raises(UserError, match=r"1 of 8 recordings are not there, such as \S+speech_QA_iemocap/clip 0\.wav"):
        airbench.read(release)
    with pytest.raises(UserError, match=r"no chats of AIR-Bench under .*; expected Chat/Chat_meta\.json and"):
        airbench.read(tmp_path_factory.mktemp("empty"))


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ({}, r"Chat_meta\.json is no list of AIR-Bench; expected a JSON list of questions, download it again"),
        ([], "is no list of AIR-Bench"),
        ([1], "entry 0 has no text as path, task_name,"),
        (
            [entry(0, "speech_QA"), entry(1, "speech_QA", question=None)],
            "entry 1 has no text as question; expected path",
        ),
        ([entry(0, "speech_QA", uniq_id=None)], "entry 0 has no text as uniq_id; expected"),
        ([entry(0, "speech_QA"), entry(0, "speech_QA")], "has the uniq_id 0 twice; expected one for each question"),
    ],
)
def test_damaged_lists(release: Path, entries: object, sentence: str):
    with pytest.raises(UserError, match=sentence):
        airbench.read(write(release, entries))


def test_the_list_says_what_is_downloaded(release: Path, tmp_path: Path):
    seen: list[tuple[int, int | None]] = []
    with serve() as server:
        for path in release.rglob("*.*"):
            name = str(path.relative_to(release)).replace(" ", "%20")
            server.files[name] = Served(path.read_bytes())
        address = server.url("")[:-1]
        airbench.download(tmp_path / "out", lambda done, total: seen.append((done, total)), address=address)
        assert len(server.asked) == 9
        airbench.download(tmp_path / "out", address=address)
        assert len(server.asked) == 9
    assert [s.audio.read_bytes() for s in airbench.read(tmp_path / "out")] == [f"sound {n}".encode() for n in range(8)]
    assert seen == [(7 * (n + 1), None) for n in range(8)]


def test_two_questions_about_one_recording_fetch_it_once(tmp_path: Path):
    asked = [entry(0, "speech_QA", uniq_id="first"), entry(0, "speech_QA", uniq_id="second")]
    seen: list[int] = []
    with serve() as server:
        server.files["Chat/Chat_meta.json"] = Served(json.dumps(asked).encode())
        server.files["Chat/speech_QA_iemocap/clip%200.wav"] = Served(b"sound 0")
        airbench.download(tmp_path, lambda done, total: seen.append(done), address=server.url("")[:-1])
        assert len(server.asked) == 2
    assert seen == [7]
    assert [sample.id for sample in airbench.read(tmp_path)] == ["first", "second"]


def test_a_list_cannot_write_elsewhere(tmp_path: Path):
    body = json.dumps([entry(0, "../../x", path="../../../evil.wav")]).encode()
    with serve() as server:
        server.files["Chat/Chat_meta.json"] = Served(body)
        with pytest.raises(UserError, match=r"leads out of .*; expected one below it"):
            airbench.download(tmp_path / "out", address=server.url("")[:-1])
