"""Several processes and one download: refused while another has it, nothing to wait for once it is there, continued."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from local_server import Served, Server, serve

from auricle.errors import UserError
from auricle.evaluate import download
from auricle.evaluate.download import RemoteFile, fetch
from auricle.evaluate.partial import Part

BODY = bytes(range(256)) * 2000


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as state:
        yield state


def remote(server: Server) -> RemoteFile:
    return RemoteFile("a.bin", (server.url("a.bin"),))


def test_one_that_is_there_is_not_waited_for(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its folder may be one that cannot be written."""
    (tmp_path / "a.bin").write_bytes(BODY)
    monkeypatch.setattr(download, "held", None)
    assert fetch(remote(server), tmp_path) == tmp_path / "a.bin"


def test_what_another_process_was_just_done_with_is_taken(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real = download.held

    def late(target: Path) -> AbstractContextManager[Part]:
        target.write_bytes(BODY)
        return real(target)

    monkeypatch.setattr(download, "held", late)
    assert fetch(remote(server), tmp_path).read_bytes() == BODY
    assert server.asked == []
    assert os.listdir(tmp_path) == ["a.bin"]


SLOW = """
import sys, time
from pathlib import Path
from auricle.evaluate.download import RemoteFile, fetch
def watch(done, total):
    if done > 200_000:
        print("half", flush=True)
        time.sleep(60)
fetch(RemoteFile("a.bin", (sys.argv[1],)), Path(sys.argv[2]), watch=watch)
"""


def test_killed_and_run_again(server: Server, tmp_path: Path):
    """A second process is refused while the first one lives; after its kill the rest is asked for."""
    server.files["a.bin"] = Served(BODY)
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, server.url("a.bin"), str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        with pytest.raises(UserError, match=r"a\.bin is being downloaded by another process; wait for it"):
            fetch(remote(server), tmp_path)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "a.bin").exists()
    num_bytes = (tmp_path / "a.bin.part").stat().st_size
    assert 200_000 < num_bytes < len(BODY)
    for _ in range(100):  # the kernel lets go of the lock a moment after
        try:
            assert fetch(remote(server), tmp_path).read_bytes() == BODY
            break
        except UserError:
            time.sleep(0.05)
    assert server.asked[-1] == ("a.bin", f"bytes={num_bytes}-")
