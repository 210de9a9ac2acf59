"""Downloads from a server of this machine that is interrupted, changed, wrong, slow to be ready, or gone."""

import hashlib
import http.client
import json
import os
import shutil
import urllib.request
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from local_server import Served, Server, serve

from auricle.errors import UserError
from auricle.evaluate import download
from auricle.evaluate.download import RemoteFile, data_home, fetch

BODY = bytes(range(256)) * 2000
OTHER = bytes(reversed(range(256))) * 2000
MD5, SHA256 = hashlib.md5(BODY).hexdigest(), hashlib.sha256(BODY).hexdigest()
AT_ONCE = (0.0, 0.0)


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as state:
        yield state


def remote(server: Server, **published: Any) -> RemoteFile:
    return RemoteFile("a.bin", (server.url("a.bin"),), **published)


def begun(folder: Path, data: bytes, url: str, validator: str = '"one"', num_bytes: int | None = len(BODY)) -> Path:
    """What a killed download leaves."""
    part = folder / "a.bin.part"
    part.write_bytes(data)
    part.with_name("a.bin.part.json").write_text(
        json.dumps({"url": url, "validator": validator, "num_bytes": num_bytes})
    )
    return part


def test_a_whole_file_appears_with_its_progress(server: Server, tmp_path: Path):
    server.files["a.bin"] = Served(BODY)
    seen: list[tuple[int, int | None]] = []
    path = fetch(
        remote(server, num_bytes=len(BODY), sha256=SHA256, md5=MD5),
        tmp_path / "new",
        watch=lambda done, total: seen.append((done, total)),
    )
    assert path == tmp_path / "new" / "a.bin"
    assert path.read_bytes() == BODY
    assert os.listdir(path.parent) == ["a.bin"]
    assert seen[0] == (0, len(BODY))
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len(seen) > 3


def test_one_that_is_there_is_not_asked_for_again(server: Server, tmp_path: Path):
    server.files["a.bin"] = Served(BODY)
    fetch(remote(server), tmp_path)
    fetch(remote(server, num_bytes=len(BODY)), tmp_path)
    assert len(server.asked) == 1
    with pytest.raises(UserError, match=r"a\.bin has 512,000 bytes, but 7 were published; delete it, and run again"):
        fetch(remote(server, num_bytes=7), tmp_path)


@pytest.mark.parametrize("modified", ["", "Sun, 22 Nov 2026 10:00:00 GMT"])
def test_a_part_is_continued(server: Server, tmp_path: Path, modified: str):
    server.files["a.bin"] = Served(BODY, etag='W/"weak"' if modified else '"one"', modified=modified)
    if modified:  # a weak mark of the bytes is none: the date is the condition
        server.files["a.bin"].honest_ranges = False
    begun(tmp_path, BODY[:300_000], server.url("a.bin"), modified or '"one"')
    assert fetch(remote(server), tmp_path).read_bytes() == BODY
    assert server.asked == [("a.bin", "bytes=300000-")]
    assert os.listdir(tmp_path) == ["a.bin"]


def test_the_rest_is_asked_for_only_where_the_file_is_still_the_same(server: Server, tmp_path: Path):
    server.files["a.bin"] = Served(BODY, etag='"two"')
    begun(tmp_path, OTHER[:300_000], server.url("a.bin"))
    assert fetch(remote(server), tmp_path).read_bytes() == BODY
    assert len(server.asked) == 1  # the server itself saw that it is another one


def test_a_server_that_ignores_the_condition_is_caught_by_its_mark(server: Server, tmp_path: Path):
    server.files["a.bin"] = Served(BODY, etag='"two"', honest_ranges=False)
    begun(tmp_path, OTHER[:300_000], server.url("a.bin"))
    assert fetch(remote(server), tmp_path, delays_s=AT_ONCE).read_bytes() == BODY
    assert [asked for _, asked in server.asked] == ["bytes=300000-", None]


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path):
    server.files["a.bin"] = Served(BODY, ranges=False, cut_after=[300_000, None])
    assert fetch(remote(server), tmp_path, delays_s=AT_ONCE).read_bytes() == BODY
    assert [asked for _, asked in server.asked] == [None, "bytes=300000-"]


def test_without_a_mark_or_a_checksum_nothing_is_continued(server: Server, tmp_path: Path):
    server.files["a.bin"] = Served(BODY, etag="")
    begun(tmp_path, OTHER[:300_000], server.url("a.bin"), validator="")
    assert fetch(remote(server), tmp_path).read_bytes() == BODY
    assert server.asked == [("a.bin", None)]


def test_with_a_checksum_a_part_is_continued_from_another_address(server: Server, tmp_path: Path):
    server.files["b.bin"] = Served(BODY, etag="")
    begun(tmp_path, BODY[:300_000], "http://gone.invalid/a.bin")
    file = RemoteFile("a.bin", (server.url("a.bin"), server.url("b.bin")), md5=MD5)
    assert fetch(file, tmp_path).read_bytes() == BODY
    assert server.asked == [("a.bin", "bytes=300000-"), ("b.bin", "bytes=300000-")]


def test_halves_of_different_files_are_found_out_and_loaded_again(server: Server, tmp_path: Path):
    server.files["a.bin"] = Served(BODY, etag="")
    begun(tmp_path, OTHER[:300_000], "http://gone.invalid/a.bin")
    assert fetch(remote(server, sha256=SHA256), tmp_path, delays_s=AT_ONCE).read_bytes() == BODY
    assert [asked for _, asked in server.asked] == ["bytes=300000-", None]


def test_a_dropped_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path):
    server.files["a.bin"] = Served(BODY, cut_after=[100_000])  # of every answer: each brings more
    assert fetch(remote(server, md5=MD5), tmp_path, delays_s=[0.0]).read_bytes() == BODY
    assert [asked for _, asked in server.asked] == [None] + [f"bytes={n}00000-" for n in range(1, 6)]


def test_one_that_never_gets_further_is_given_up(server: Server, tmp_path: Path):
    server.files["a.bin"] = Served(BODY, ranges=False, cut_after=[300_000])
    with pytest.raises(UserError, match=r"the connection ended after 300,000 of 512,000 bytes; try again later"):
        fetch(remote(server), tmp_path, delays_s=AT_ONCE)
    assert len(server.asked) == 3  # and once after each wait
    assert (tmp_path / "a.bin.part").read_bytes() == BODY[:300_000]
    assert not (tmp_path / "a.bin").exists()


def test_a_file_without_a_length_must_have_the_published_one(server: Server, tmp_path: Path):
    server.files["a.bin"] = Served(BODY, has_length=False)
    seen: list[int | None] = []
    fetch(remote(server), tmp_path / "unknown", watch=lambda done, total: seen.append(total))
    assert set(seen) == {None}
    server.files["a.bin"] = Served(BODY[:-1], has_length=False)
    with pytest.raises(UserError, match="the connection ended after 511,999 of 512,000 bytes"):
        fetch(remote(server, num_bytes=len(BODY)), tmp_path / "known", delays_s=AT_ONCE)


def test_more_bytes_than_were_published_are_refused(server: Server, tmp_path: Path):
    server.files["a.bin"] = Served(BODY + b"x", has_length=False)
    with pytest.raises(UserError, match="gave 512,001 bytes, but 512,000 were published"):
        fetch(remote(server, num_bytes=len(BODY)), tmp_path, delays_s=AT_ONCE)
    assert os.listdir(tmp_path) == []


def test_a_part_of_a_file_of_another_size_is_dropped(server: Server, tmp_path: Path):
    server.files["a.bin"] = Served(BODY)
    begun(tmp_path, BODY[:300_000], server.url("a.bin"))
    with pytest.raises(UserError, match="offers 512,000 bytes, but 512,001 were published"):
        fetch(remote(server, num_bytes=len(BODY) + 1), tmp_path, delays_s=AT_ONCE)
    assert server.asked == [("a.bin", "bytes=300000-")]
    assert os.listdir(tmp_path) == []


def test_an_answer_without_a_mark_continues_a_part(server: Server, tmp_path: Path):
    server.files["a.bin"] = Served(BODY, etag="", honest_ranges=False)
    begun(tmp_path, BODY[:300_000], server.url("a.bin"))
    assert fetch(remote(server), tmp_path, delays_s=AT_ONCE).read_bytes() == BODY
    assert server.asked == [("a.bin", "bytes=300000-")]


def test_an_answer_without_a_byte_leaves_nothing(server: Server, tmp_path: Path):
    server.files["a.bin"] = Served(BODY, cut_after=[0])
    with pytest.raises(UserError, match="the connection ended after 0 of 512,000 bytes"):
        fetch(remote(server), tmp_path, delays_s=AT_ONCE)
    assert os.listdir(tmp_path) == []


def test_a_connection_that_breaks_is_taken_up(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    server.files["a.bin"] = Served(BODY)
    real, broken = http.client.HTTPResponse.read, [http.client.IncompleteRead(b""), ConnectionResetError(104, "reset")]

    def read(answer: http.client.HTTPResponse, size: int | None = None) -> bytes:
        if broken:
            raise broken.pop()
        return real(answer, size)

    monkeypatch.setattr(http.client.HTTPResponse, "read", read)
    assert fetch(remote(server), tmp_path, delays_s=AT_ONCE).read_bytes() == BODY
    assert len(server.asked) == 3


def test_a_server_that_continues_without_a_total(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    server.files["a.bin"] = Served(BODY)
    begun(tmp_path, BODY[:300_000], server.url("a.bin"))
    real, encodings, totals = urllib.request.urlopen, [], set()

    def urlopen(request: urllib.request.Request, **rest: Any) -> http.client.HTTPResponse:
        encodings.append(request.get_header("Accept-encoding"))
        answer = real(request, **rest)
        answer.headers.replace_header("Content-Range", answer.headers["Content-Range"].partition("/")[0] + "/*")
        return answer

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    path = fetch(remote(server), tmp_path, watch=lambda done, total: totals.add(total))
    assert path.read_bytes() == BODY
    assert totals == {None}
    assert encodings == ["identity"]  # a packed answer could neither be continued nor checked


def test_an_empty_file_is_a_file(server: Server, tmp_path: Path):
    server.files["a.bin"] = Served(b"")
    assert fetch(remote(server), tmp_path).read_bytes() == b""
    fetch(remote(server), tmp_path)
    assert len(server.asked) == 1
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_wrong_size_is_refused_before_it_is_downloaded(server: Server, tmp_path: Path):
    server.files["a.bin"] = Served(BODY)
    with pytest.raises(
        UserError,
        match=r"cannot download a\.bin: http://\S+/a\.bin: offers 512,000 bytes, but 512,001 were published; try again "
        r"later, or get it another way and put it at \S+/a\.bin$",
    ):
        fetch(remote(server, num_bytes=len(BODY) + 1), tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_a_wrong_checksum_is_refused_and_nothing_is_left(server: Server, tmp_path: Path, algorithm: str):
    server.files["a.bin"] = Served(OTHER)
    expected = {"md5": MD5, "sha256": SHA256}[algorithm]
    with pytest.raises(UserError, match=rf"gave bytes with the {algorithm} \w+, but {expected} was published"):
        fetch(remote(server, **{algorithm: expected}), tmp_path)
    assert os.listdir(tmp_path) == []
    assert len(server.asked) == 1


def test_the_next_address_is_tried(server: Server, tmp_path: Path):
    server.files["bad.bin"] = Served(OTHER)
    server.files["good.bin"] = Served(BODY)
    names = ("missing.bin", "bad.bin", "good.bin")
    file = RemoteFile("a.bin", tuple(server.url(name) for name in names), len(BODY), md5=MD5)
    assert fetch(file, tmp_path).read_bytes() == BODY
    assert [path for path, _ in server.asked] == list(names)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_not_asked_again(server: Server, tmp_path: Path, status: int):
    server.files["a.bin"] = Served(BODY, statuses=[status] * 9)
    with pytest.raises(UserError, match=rf"cannot download a\.bin: \S+: HTTP {status} "):
        fetch(remote(server), tmp_path)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path, status: int):
    server.files["a.bin"] = Served(BODY, statuses=[status, status])
    assert fetch(remote(server), tmp_path, delays_s=AT_ONCE).read_bytes() == BODY
    server.files["a.bin"] = Served(BODY, statuses=[status] * 3)
    with pytest.raises(UserError, match=f"HTTP {status} "):
        fetch(remote(server), tmp_path / "again", delays_s=AT_ONCE)


def test_the_waits_grow_and_a_server_may_ask_for_longer(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    slept: list[float] = []
    monkeypatch.setattr(download.time, "sleep", slept.append)
    server.files["a.bin"] = Served(BODY, statuses=[503] * 4)
    fetch(remote(server), tmp_path)
    assert slept == list(download.DELAYS_S)
    slept.clear()
    server.files["a.bin"] = Served(BODY, statuses=[429, 429], headers={"Retry-After": "7"})
    fetch(remote(server), tmp_path / "later")
    server.files["a.bin"] = Served(BODY, statuses=[429], headers={"Retry-After": "9999"})
    fetch(remote(server), tmp_path / "much later")
    assert slept == [7, 7, 120]
    slept.clear()
    server.files["a.bin"] = Served(BODY, statuses=[503], headers={"Retry-After": "Sun, 22 Nov 2026 10:00:00 GMT"})
    fetch(remote(server), tmp_path / "at a date")
    assert slept == [download.DELAYS_S[0]]


def test_a_part_that_is_too_long_is_dropped(server: Server, tmp_path: Path):
    server.files["a.bin"] = Served(BODY)
    begun(tmp_path, BODY + b"x", server.url("a.bin"), num_bytes=None)
    assert fetch(remote(server), tmp_path, delays_s=AT_ONCE).read_bytes() == BODY


def test_an_answer_about_another_place_is_not_added(server: Server, tmp_path: Path):
    server.files["a.bin"] = Served(BODY, wrong_start=True)
    begun(tmp_path, BODY[:300_000], server.url("a.bin"))
    assert fetch(remote(server), tmp_path, delays_s=AT_ONCE).read_bytes() == BODY
    assert [asked for _, asked in server.asked] == ["bytes=300000-", None]


def test_a_download_killed_before_its_last_step_is_only_checked(server: Server, tmp_path: Path):
    begun(tmp_path, BODY, server.url("a.bin"))
    assert fetch(remote(server, md5=MD5), tmp_path).read_bytes() == BODY
    assert server.asked == []


@pytest.mark.parametrize("note", ["", "{", '{"url": 1}', None])
def test_a_damaged_note_is_none(server: Server, tmp_path: Path, note: str | None):
    server.files["a.bin"] = Served(BODY)
    part = begun(tmp_path, OTHER[:300_000], server.url("a.bin"))
    path = part.with_name("a.bin.part.json")
    path.unlink() if note is None else path.write_text(note)
    assert fetch(remote(server), tmp_path).read_bytes() == BODY


def test_no_server_and_no_http(tmp_path: Path):
    with serve() as gone:
        pass
    with pytest.raises(UserError, match=r"cannot download a\.bin: http://127\S+: .*refused"):
        fetch(remote(gone), tmp_path, delays_s=AT_ONCE)
    (tmp_path / "secret").write_text("x")
    with pytest.raises(UserError, match="expected an address that begins with http:// or https://"):
        fetch(RemoteFile("b.bin", (f"file://{tmp_path}/secret",)), tmp_path)
    assert not (tmp_path / "b.bin").exists()


def test_a_full_disk_is_found_first(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    server.files["a.bin"] = Served(BODY, says=10**12)
    with pytest.raises(UserError, match=r"a\.bin needs 1000\.00 GB more, but the disk of \S+ has \d+\.\d\d; free some"):
        fetch(remote(server), tmp_path)
    assert not (tmp_path / "a.bin.part").exists()
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(len(BODY) - 300_000))
    server.files["a.bin"] = Served(BODY)
    begun(tmp_path, BODY[:300_000], server.url("a.bin"))
    assert fetch(remote(server), tmp_path).read_bytes() == BODY  # what is there already needs no room


def test_a_name_that_leads_out_of_the_folder_is_refused(server: Server, tmp_path: Path):
    for name in ("../a.bin", "/tmp/a.bin", "x/../../a.bin"):
        with pytest.raises(UserError, match=r"leads out of .*; expected one below it"):
            fetch(RemoteFile(name, (server.url("a.bin"),)), tmp_path / "in")
    server.files["a.bin"] = Served(BODY)
    assert fetch(RemoteFile("x/a.bin", (server.url("a.bin"),)), tmp_path).parent == tmp_path / "x"


def test_a_folder_that_cannot_be_written(server: Server, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write \S+/file/a\.bin: .*; make room, or name another folder"):
        fetch(remote(server), tmp_path / "file")


def test_where_data_sets_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("AURICLE_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_home() == tmp_path / ".cache" / "auricle" / "data"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_home() == tmp_path / "cache" / "auricle" / "data"
    monkeypatch.setenv("AURICLE_DATA", str(tmp_path / "sets"))
    assert data_home() == tmp_path / "sets"
