"""The end of a server whose page is open, and what the page leaves on the disk and in memory."""

import fcntl
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from page_fixtures import Desk
from safe_fixtures import guarded, server_process
from serving import PATIENCE_S, Running, ScriptedService, until

from auricle.assistant.chat import Turn
from auricle.audio import Waveform
from auricle.serve.page.conversation import Conversation
from auricle.serve.page.folder import Folder
from auricle.serve.page.memory import Memory
from auricle.serve.page.picture import Heard

pytestmark = [  # gradio's use of pandas
    pytest.mark.filterwarnings("ignore:.*no_silent_downcasting"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]


@contextmanager
def window(url: str, session: str) -> Iterator[threading.Thread]:
    """A browser's window that is open: its heartbeat, which ends when the thread does, and ends well."""
    alive = threading.Event()

    def beat() -> None:
        with httpx.stream("GET", f"{url}/gradio_api/heartbeat/{session}", timeout=PATIENCE_S) as stream:
            for line in stream.iter_lines():
                if "ALIVE" in line:
                    alive.set()

    thread = threading.Thread(target=beat)
    thread.start()
    assert alive.wait(PATIENCE_S)
    yield thread
    thread.join(PATIENCE_S)


def ask(http: httpx.Client, session: str, path: Path) -> None:
    """What a click on Ask sends, with an uploaded recording."""
    [uploaded] = http.post("/gradio_api/upload", files={"files": ("a.flac", path.read_bytes())}).json()
    config = http.get("/config").json()
    asking = next(one for one in config["dependencies"] if len(one["inputs"]) == 6)
    file = {"path": uploaded, "meta": {"_type": "gradio.FileData"}}
    data = ["What is said?", [file], None, None, 0, 16]
    event = {"data": data, "fn_index": asking["id"], "session_hash": session}
    assert http.post("/gradio_api/queue/join", json=event).status_code == 200


def test_open_windows_do_not_hold_up_the_end():
    with guarded(ScriptedService(), page=True) as server, window(server.url, "idle") as open_window:
        drain(server)
        open_window.join(5)
        assert not open_window.is_alive()


@pytest.mark.slow
def test_an_answer_is_finished_before_its_window_is_left():
    gate = threading.Event()
    service = ScriptedService(gate=gate)
    with guarded(service, page=True) as server, server.http() as http, window(server.url, "busy") as open_window:
        ask(http, "busy", Path(__file__).parents[2] / "examples/recordings/prompt.flac")
        told: list[str] = []

        def follow() -> None:
            with httpx.stream("GET", f"{server.url}/gradio_api/queue/data?session_hash=busy", timeout=60) as stream:
                told.extend(stream.iter_lines())

        following = threading.Thread(target=follow)
        following.start()
        until(lambda: service.asked)
        drain(server)
        time.sleep(0.6)
        assert open_window.is_alive()
        gate.set()
        for thread in (following, open_window):
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        assert "Hello, world." in "".join(told)
        assert "Done." in "".join(told)


def drain(server: Running) -> None:
    server.gateway.admission.drain()


@pytest.mark.slow
def test_sigterm_ends_a_server_with_an_open_window_at_once():
    with server_process({"page": True}) as server, window(server.url, "idle"):
        start = time.monotonic()
        server.process.terminate()
        assert server.process.wait(20) == 0
        assert time.monotonic() - start < 10
        assert not [line for line in server.log if "Traceback" in line or "ASGI" in line]


def test_uploads_take_a_limited_place_and_the_oldest_go_first():
    folder = Folder()
    for number in range(4):
        path = folder.path / f"hash{number}" / "a.wav"
        path.parent.mkdir()
        path.write_bytes(bytes(1000))
        os.utime(path, (number, number))
    folder.make_room(1000, most_bytes=5000)
    assert sorted(path.parent.name for path in folder.path.rglob("*.wav")) == ["hash0", "hash1", "hash2", "hash3"]
    folder.make_room(1000, most_bytes=3500)
    assert sorted(path.parent.name for path in folder.path.rglob("*.wav")) == ["hash2", "hash3"]
    folder.make_room(10**9, most_bytes=3500)
    assert not list(folder.path.rglob("*.wav"))


def test_an_upload_makes_room_for_itself():
    with guarded(ScriptedService(), page=True, max_upload_mb=1) as server, server.http() as http:
        sent = [http.post("/gradio_api/upload", files={"files": ("a.wav", os.urandom(9 * 10**5))}) for _ in range(6)]
        there = [Path(answer.json()[0]).exists() for answer in sent]
        assert there[:2] == [False, False]
        assert there[-3:] == [True, True, True]


def test_folders_of_servers_that_were_killed_are_removed_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old = time.time() - 3600
    for name in ("auricle-page-dead", "auricle-page-alive", "auricle-page-else", "else-dead"):
        (tmp_path / name / "hash").mkdir(parents=True)
        if name != "auricle-page-else":
            (tmp_path / name / ".lock").touch()
            os.utime(tmp_path / name / ".lock", (old, old))
    with (tmp_path / "auricle-page-alive" / ".lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder, other = Folder(), Folder()
        left = {path.name for path in tmp_path.iterdir()}
    assert left == {"auricle-page-alive", "auricle-page-else", "else-dead", folder.path.name, other.path.name}


def test_what_a_session_uploaded_goes_with_it_unless_another_uses_it_too(tmp_path: Path):
    desk = Desk(ScriptedService(), tmp_path)
    speech = (Path(__file__).parents[2] / "examples/recordings/prompt.flac").read_bytes()
    for name in ("mine.flac", "ours.flac"):
        (tmp_path / name).write_bytes(speech)

    async def hear(session: str, *names: str) -> None:
        async with desk.stays.stay(session, "analysis") as stay:
            for name in names:
                desk.uploads.whole(str(tmp_path / name), stay, Heard())

    async def both() -> None:
        await hear("one", "mine.flac", "ours.flac")
        await hear("two", "ours.flac")

    desk.run(both)
    desk.uploads.leave("one")
    assert [path.name for path in tmp_path.iterdir()] == ["ours.flac"]
    desk.uploads.leave("two")
    desk.uploads.leave("three")
    assert not list(tmp_path.iterdir())


def test_all_conversations_together_keep_to_a_limit_and_the_oldest_is_forgotten():
    second = Waveform(np.zeros(16_000, np.float32))
    said = {name: Conversation().with_turn(Turn("What?", (second,), "A."), (name,)) for name in ("a", "b", "c")}
    memory = Memory(most_bytes=2 * 64_000)
    for name in ("a", "b", "a", "c"):
        memory.keep(name, said[name])
    assert said["b"] == Conversation()
    assert len(said["a"].turns) == len(said["c"].turns) == 1
    memory.leave("a")
    memory.keep("d", said["a"])
    assert len(said["c"].turns) == 1
