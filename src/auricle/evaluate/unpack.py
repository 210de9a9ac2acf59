"""Archives into folders: nothing outside the folder, and done only when all of it is there."""

import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from auricle.errors import UserError
from auricle.evaluate.download import Watch

_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)


def unpack(
    archive: Path, folder: Path, *, wanted: Callable[[str], bool] = lambda name: True, watch: Watch | None = None
) -> None:
    """Unpack a tar (also .gz, .bz2, .xz) or a zip file.

    A marker, `.NAME.unpacked`, is written in the folder when all is there: a second call does nothing, whether the
    archive is still there or not, and one after a kill, or with another archive of that name, does all of it again.

    Args:
        archive: the file.
        folder: where to; made if it is not there.
        wanted: which members, by name; the others are left out.
        watch: told how many bytes of the archive are read, and its size.

    Raises:
        UserError: the archive is missing or damaged, a member leads out of the folder, or there is no room.
    """
    marker = folder / f".{archive.name}.unpacked"
    if marker.is_file() and (not archive.is_file() or marker.read_text() == str(archive.stat().st_size)):
        return
    if not archive.is_file():
        raise UserError(f"there is no archive {archive} to unpack; download it first")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        marker.unlink(missing_ok=True)
        _require_room(archive, folder)
        if zipfile.is_zipfile(archive):
            _unzip(archive, folder, wanted, watch)
        else:
            _untar(archive, folder, wanted, watch)
        marker.write_text(str(archive.stat().st_size))
    except _DAMAGED as error:
        raise UserError(f"cannot unpack {archive}: {_what(error)}; delete it and download it again") from error
    except OSError as error:
        if error.errno is None:  # what gzip and bz2 raise for bytes that are not theirs
            raise UserError(f"cannot unpack {archive}: {_what(error)}; delete it and download it again") from error
        raise UserError(
            f"cannot unpack {archive} into {folder}: {error.strerror}; make room, or name another folder"
        ) from error


def _what(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(":") if str(error) else type(error).__name__


def _untar(archive: Path, folder: Path, wanted: Callable[[str], bool], watch: Watch | None) -> None:
    num_bytes = archive.stat().st_size
    with archive.open("rb") as file, tarfile.open(fileobj=file, mode="r:*") as tar:
        for member in tar:
            if wanted(member.name):
                tar.extract(member, folder, filter="data")  # raises a TarError where it leads out of the folder
            if watch is not None:
                watch(file.tell(), num_bytes)


def _unzip(archive: Path, folder: Path, wanted: Callable[[str], bool], watch: Watch | None) -> None:
    num_bytes = archive.stat().st_size
    with zipfile.ZipFile(archive) as file:
        done = 0
        for member in file.infolist():
            done += member.compress_size
            if not (folder / member.filename).resolve().is_relative_to(folder.resolve()):
                raise zipfile.BadZipFile(f"{member.filename!r} leads out of the folder")
            if wanted(member.filename):
                file.extract(member, folder)
            if watch is not None:
                watch(min(done, num_bytes), num_bytes)


def _require_room(archive: Path, folder: Path) -> None:
    """As much as the archive takes, at least: recordings hardly shrink when they are packed."""
    needed, free = archive.stat().st_size, shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"unpacking {archive.name} needs {needed / 1e9:.2f} GB or more, but the disk of {folder} has "
            f"{free / 1e9:.2f}; free some, or name another folder"
        )
