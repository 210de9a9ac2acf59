"""Archives are unpacked whole, once, and into their folder only."""

import errno
import io
import random
import shutil
import tarfile
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from auricle.errors import UserError
from auricle.evaluate.unpack import unpack

FILES = {"set/one.txt": b"one" * 5000, "set/deep/two.txt": b"two", "list.json": b"{}"}


def tar(path: Path, files: dict[str, bytes] = FILES, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
    return path


def zipped(path: Path, files: dict[str, bytes] = FILES) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def archive(kind: str, folder: Path, files: dict[str, bytes] = FILES) -> Path:
    if kind == "zip":
        return zipped(folder / "a.zip", files)
    return tar(folder / f"a.{kind}", files, {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz", "tar.bz2": "w:bz2"}[kind])


KINDS = ("tar", "tar.gz", "tar.xz", "tar.bz2", "zip")


@pytest.mark.parametrize("kind", KINDS)
def test_all_of_it_once(tmp_path: Path, kind: str):
    path, out = archive(kind, tmp_path), tmp_path / "out"
    size, seen = path.stat().st_size, []
    unpack(path, out, watch=lambda done, total: seen.append((done, total)))
    assert contents(out) == FILES
    assert {total for _, total in seen} == {size}
    assert 0 < seen[0][0] <= seen[-1][0] <= size
    if kind == "zip":  # members count as they are packed
        assert len({done for done, _ in seen}) == len(FILES)
    (out / "list.json").unlink()  # the marker says that it is done
    unpack(path, out)
    path.unlink()
    unpack(path, out)
    assert len(contents(out)) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_is_wanted(tmp_path: Path, kind: str):
    unpack(archive(kind, tmp_path), tmp_path / "out", wanted=lambda name: "deep" not in name)
    assert contents(tmp_path / "out").keys() == {"set/one.txt", "list.json"}


def test_cut_off_it_starts_again_and_another_archive_too(tmp_path: Path):
    path, out = tar(tmp_path / "a.tar"), tmp_path / "out"

    def kill(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(path, out, watch=kill)
    assert len(contents(out)) == 1
    unpack(path, out)
    assert contents(out) == FILES
    tar(path, {"list.json": b"a newer release" * 9999})
    with pytest.raises(KeyboardInterrupt):
        unpack(path, out, watch=kill)
    assert not list(out.glob(".*"))  # nothing says that the newer one is done
    unpack(path, out)
    assert contents(out)["list.json"] == b"a newer release" * 9999


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_one_is_not_taken_for_done(tmp_path: Path, kind: str):
    path, out = archive(kind, tmp_path), tmp_path / "out"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cannot unpack \S+/a\.\S+: .+; delete it and download it again"):
        unpack(path, out)
    path.write_bytes(whole)
    unpack(path, out)
    assert contents(out) == FILES


def test_bytes_that_no_packer_wrote(tmp_path: Path):
    files = {"a.bin": random.Random(0).randbytes(300_000)}
    path = tmp_path / "a.tar.bz2"
    with tarfile.open(path, "w:bz2", compresslevel=1) as file:
        member = tarfile.TarInfo("a.bin")
        member.size = len(files["a.bin"])
        file.addfile(member, io.BytesIO(files["a.bin"]))
    data = bytearray(path.read_bytes())
    data[200_000:200_100] = b"\xff" * 100
    path.write_bytes(data)
    damaged = [path]
    whole = zipped(tmp_path / "whole.zip", files).read_bytes()
    for name, place, value in (
        ("stream.zip", 30 + len("a.bin"), 0xFF),
        ("method.zip", whole.index(b"PK\1\2") + 10, 99),
    ):
        data = bytearray(whole)
        data[place] = value
        (tmp_path / name).write_bytes(data)
        damaged.append(tmp_path / name)
    for path in damaged:
        with pytest.raises(UserError, match=rf"cannot unpack \S+/{path.name}: .+; delete it and download it again"):
            unpack(path, tmp_path / "out")


@pytest.mark.parametrize("name", ["../evil.txt", "a/../../evil.txt"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_nothing_leads_out(tmp_path: Path, kind: str, name: str):
    path, out = archive(kind, tmp_path, {"good.txt": b"", name: b"evil"}), tmp_path / "in" / "out"
    with pytest.raises(UserError, match=r"cannot unpack .*evil\.txt.*; delete it and download it again"):
        unpack(path, out)
    assert not list(tmp_path.rglob("evil.txt"))
    assert not list(out.glob(".*"))


def test_an_absolute_name_and_a_link_lead_nowhere(tmp_path: Path):
    out = tmp_path / "out"
    unpack(tar(tmp_path / "absolute.tar", {f"{tmp_path}/evil.txt": b"tame"}), out)
    assert not (tmp_path / "evil.txt").exists()
    path = tmp_path / "link.tar"
    with tarfile.open(path, "w") as file:
        member = tarfile.TarInfo("link")
        member.type, member.linkname = tarfile.SYMTYPE, "../../secret"
        file.addfile(member)
    with pytest.raises(UserError, match=r"cannot unpack \S+/link\.tar: 'link' would link to"):
        unpack(path, out)
    with pytest.raises(UserError, match="leads out of the folder"):
        unpack(zipped(tmp_path / "absolute.zip", {"/evil.txt": b""}), out)


def test_what_is_no_archive(tmp_path: Path):
    with pytest.raises(UserError, match=r"there is no archive \S+/gone\.zip to unpack; download it first"):
        unpack(tmp_path / "gone.zip", tmp_path)
    (tmp_path / "page.zip").write_text("<html>sign in first</html>" * 99)
    with pytest.raises(UserError, match=r"cannot unpack \S+/page\.zip: .*; delete it and download it again"):
        unpack(tmp_path / "page.zip", tmp_path)


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tar(tmp_path / "a.tar")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda folder: namedtuple("usage", "free")(5))
        with pytest.raises(UserError, match=r"unpacking a\.tar needs 0\.00 GB or more, but the disk of .* has 0\.00"):
            unpack(path, tmp_path / "out")

    def full(self: tarfile.TarFile, *arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "extract", full)
    with pytest.raises(
        UserError, match=r"cannot unpack \S+ into \S+: No space left on device; make room, or name another"
    ):
        unpack(path, tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot unpack \S+ into \S+/file/out: Not a directory; make room, or"):
        unpack(path, tmp_path / "file" / "out")
