"""Packages from mirrors of this machine, and through an apt-get that a test writes."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from debian_miniature import ar, deb, pinned, tar_xz, tree
from local_server import Served, Server, serve

from auricle.errors import UserError
from auricle.evaluate.datasets.debian_packages import DebianPackage, fetch_package

FILES = {"usr/share/doc/a/copyright": b"free", "usr/share/sounds/odd.wav": b"123", "usr/share/sounds/b.wav": b"4567"}
DEB = deb(FILES)
PACKAGE = pinned(DebianPackage("small-sounds", "1:2.0+dfsg-3", "pool/main/s/small", 0, ""), DEB)
PATH = "pool/main/s/small/small-sounds_2.0+dfsg-3_all.deb"


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as state:
        yield state


@pytest.fixture
def no_apt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))


def apt(monkeypatch: pytest.MonkeyPatch, folder: Path, gives: bytes | None) -> Path:
    """An apt-get that copies a file where it is called, or has nothing; it notes what it was asked for."""
    folder.mkdir()
    (folder / "small.deb").write_bytes(gives or b"")
    script = folder / "apt-get"
    act = f'cp "{folder}/small.deb" small-sounds_1%3a2.0.deb' if gives else 'echo "E: no such thing" >&2; exit 100'
    script.write_text(f'#!/bin/sh\necho "$@" >> "{folder}/asked"\n{act}\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return folder / "asked"


def test_a_package_comes_whole_and_only_once(server, tmp_path, no_apt):
    server.files[PATH] = Served(DEB)
    told = []
    root = fetch_package(
        PACKAGE, tmp_path / "all", mirrors=[server.address], watch=lambda *progress: told.append(progress)
    )
    assert root == tmp_path / "all" / "small-sounds"
    assert {name: (root / name).read_bytes() for name in FILES} == FILES
    assert told[-1] == (len(DEB), len(DEB))
    assert {path.name for path in (tmp_path / "all").iterdir()} == {"small-sounds"}
    num_asked = len(server.asked)
    server.files.clear()
    assert fetch_package(PACKAGE, tmp_path / "all", mirrors=[server.address]) == root
    assert len(server.asked) == num_asked


def test_only_wanted_files_are_unpacked(server, tmp_path, no_apt):
    server.files[PATH] = Served(DEB)
    root = fetch_package(
        PACKAGE, tmp_path, mirrors=[server.address], wanted=lambda path: path.match("usr/share/sounds/*.wav")
    )
    assert {name for name in tree(root) if not name.startswith(".")} == {name for name in FILES if "sounds" in name}


def test_the_second_mirror_serves_where_the_first_has_dropped_it(server, tmp_path, no_apt):
    server.files[f"old/{PATH}"] = Served(DEB)
    fetch_package(PACKAGE, tmp_path, mirrors=[server.address, server.url("old")])
    assert [path for path, _ in server.asked] == [PATH, f"old/{PATH}"]


def test_bytes_that_are_not_the_pinned_ones_are_refused(server, tmp_path, no_apt):
    server.files[PATH] = Served(deb(FILES | {"usr/share/sounds/b.wav": b"4568"}))
    with pytest.raises(UserError, match=r"cannot download small-sounds_2\.0\+dfsg-3_all\.deb: .*published"):
        fetch_package(PACKAGE, tmp_path, mirrors=[server.address])
    assert not (tmp_path / "small-sounds").exists()


def test_apt_serves_where_no_mirror_can_be_reached(server, tmp_path, monkeypatch):
    asked = apt(monkeypatch, tmp_path / "bin", DEB)
    root = fetch_package(PACKAGE, tmp_path / "all", mirrors=[server.address])
    assert (root / "usr/share/sounds/odd.wav").read_bytes() == b"123"
    assert asked.read_text() == "download -qq small-sounds=1:2.0+dfsg-3\n"
    assert {path.name for path in (tmp_path / "all").iterdir()} == {"small-sounds"}


def test_apt_is_not_asked_where_a_mirror_serves(server, tmp_path, monkeypatch):
    asked = apt(monkeypatch, tmp_path / "bin", DEB)
    server.files[PATH] = Served(DEB)
    fetch_package(PACKAGE, tmp_path / "all", mirrors=[server.address])
    assert not asked.exists()


def test_apt_with_another_build_is_refused(server, tmp_path, monkeypatch):
    other = deb({"usr/share/other": b"1"})
    apt(monkeypatch, tmp_path / "bin", other)
    sentence = f"HTTP 404 .*apt-get gives a file with the sha256 {hashlib.sha256(other).hexdigest()}, but .* is pinned"
    with pytest.raises(UserError, match=sentence):
        fetch_package(PACKAGE, tmp_path / "all", mirrors=[server.address])
    assert list((tmp_path / "all").iterdir()) == []


def test_both_reasons_are_told_where_nothing_serves(server, tmp_path, monkeypatch):
    apt(monkeypatch, tmp_path / "bin", None)
    with pytest.raises(UserError, match=r"HTTP 404 .*apt-get gives nothing either: E: no such thing"):
        fetch_package(PACKAGE, tmp_path / "all", mirrors=[server.address])


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"PK\x03\x04 a zip", "no Debian package: it does not begin with"),
        (ar({"debian-binary": b"2.0\n", "control.tar.xz": tar_xz({})}), r"no Debian package: it holds no data\.tar"),
        (ar({"data.tar.xz": b"no tar"}), "cannot unpack"),
    ],
    ids=["a zip", "no data", "damaged data"],
)
def test_what_is_no_package_is_named(server, tmp_path, no_apt, data, sentence):
    server.files[PATH] = Served(data)
    with pytest.raises(UserError, match=sentence):
        fetch_package(pinned(PACKAGE, data), tmp_path, mirrors=[server.address])


def test_an_unpacking_that_was_killed_is_done_again(server, tmp_path, no_apt, monkeypatch):
    server.files[PATH] = Served(DEB)

    def killed(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("auricle.evaluate.datasets.debian_packages.unpack", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch_package(PACKAGE, tmp_path, mirrors=[server.address])
    server.files.clear()  # what was downloaded is still there
    root = fetch_package(PACKAGE, tmp_path, mirrors=[server.address])
    assert {name: (root / name).read_bytes() for name in FILES} == FILES


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="the oracle is dpkg-deb, of Debian and its relatives")
def test_dpkg_reads_the_miniature_as_we_do(tmp_path):
    """So that the packages which the tests make are Debian packages."""
    (tmp_path / "small.deb").write_bytes(DEB)
    subprocess.run(["dpkg-deb", "-x", tmp_path / "small.deb", tmp_path / "theirs"], check=True)
    assert tree(tmp_path / "theirs") == set(FILES)
