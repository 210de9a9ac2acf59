"""Debian packages, fetched over HTTP and unpacked without apt or dpkg, so that any system can.

A .deb is an `ar` archive of three members (deb(5)); the files are in `data.tar.*`. Every package is pinned to one
version by size and sha256. It comes from Debian's mirrors, from its snapshots where the mirrors have dropped that
version, or through `apt-get download` where only apt has a way out.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from auricle.errors import UserError
from auricle.evaluate.download import RemoteFile, Watch, fetch
from auricle.evaluate.unpack import unpack

MIRRORS = ("http://deb.debian.org/debian", "http://snapshot.debian.org/archive/debian/20250520T000000Z")
DELAYS_S = (1.0, 2.0, 4.0)  # before the next tries at a mirror: there are other ways
_MAGIC = b"!<arch>\n"
_HEADER_BYTES = 60  # ar(5): name 16, date 12, owner 6, group 6, mode 8, size 10, two bytes of end
_BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class DebianPackage:
    """One version of a package. pool: its folder in the archive (`pool/main/t/tuxpaint-stamps`)."""

    name: str
    version: str
    pool: str
    num_bytes: int
    sha256: str
    architecture: str = "all"

    @property
    def file_name(self) -> str:
        """As the mirrors name it; an epoch is no part of it."""
        return f"{self.name}_{self.version.rpartition(':')[2]}_{self.architecture}.deb"


def fetch_package(
    package: DebianPackage,
    folder: Path,
    *,
    wanted: Callable[[PurePosixPath], bool] = lambda path: True,
    watch: Watch | None = None,
    mirrors: Sequence[str] = MIRRORS,
    delays_s: Sequence[float] = DELAYS_S,
) -> Path:
    """Download a package and unpack it, unless that was done; a download that was cut off is continued.

    Args:
        package: which.
        folder: of all packages; made if it is not there. The .deb itself is removed once it is unpacked.
        wanted: which files, by their paths in the package (`usr/share/...`); the others are left out.
        watch: told how many of its bytes are there.
        mirrors: addresses of Debian archives, tried in turn.
        delays_s: as `fetch`.

    Returns:
        `folder/NAME`, the root of the unpacked tree.

    Raises:
        UserError: no way brings it, it is not the pinned version, or it cannot be unpacked.
    """
    root, data = folder / package.name, folder / f"{package.name}_{package.version.replace(':', '%3a')}.data.tar"
    if not (root / f".{data.name}.unpacked").is_file():
        archive = _download(package, folder, watch, mirrors, delays_s)
        _take_data(archive, data)
        unpack(data, root, wanted=lambda name: wanted(PurePosixPath(name)))
        archive.unlink()
        data.unlink()
    return root


def _download(
    package: DebianPackage, folder: Path, watch: Watch | None, mirrors: Sequence[str], delays_s: Sequence[float]
) -> Path:
    urls = tuple(f"{mirror}/{package.pool}/{package.file_name}" for mirror in mirrors)
    remote = RemoteFile(package.file_name, urls, package.num_bytes, package.sha256)
    try:
        return fetch(remote, folder, watch=watch, delays_s=delays_s)
    except UserError as error:
        if shutil.which("apt-get") is None:
            raise
        return _apt_download(package, folder, error)


def _apt_download(package: DebianPackage, folder: Path, first: UserError) -> Path:
    """Through apt's own sources and proxies; `first` says why the mirrors did not serve."""
    scratch = folder / f"{package.name}.apt"
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        command = ["apt-get", "download", "-qq", f"{package.name}={package.version}"]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
        found = sorted(scratch.glob("*.deb"))
        if done.returncode or len(found) != 1:
            raise UserError(f"{first}; apt-get gives nothing either: {' '.join(done.stderr.split())}")
        with found[0].open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != package.sha256:
            raise UserError(f"{first}; apt-get gives a file with the sha256 {digest}, but {package.sha256} is pinned")
        return found[0].rename(folder / package.file_name)
    finally:
        shutil.rmtree(scratch)


def _take_data(archive: Path, target: Path) -> None:
    """Copy the member `data.tar.*` out of a .deb."""
    with archive.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise UserError(f"{archive} is no Debian package: it does not begin with {_MAGIC!r}; download it again")
        while header := file.read(_HEADER_BYTES):
            name, size = header[:16].decode("ascii", "replace").rstrip(" /"), header[48:58]
            if len(header) < _HEADER_BYTES or not size.strip().isdigit():
                break
            if name.startswith("data.tar"):
                return _copy(file, target, int(size))
            file.seek(int(size) + int(size) % 2, 1)  # members begin at even bytes
    raise UserError(f"{archive} is no Debian package: it holds no data.tar; download it again")


def _copy(file: BinaryIO, target: Path, num_bytes: int) -> None:
    with target.open("wb") as copy:
        while num_bytes and (block := file.read(min(_BLOCK_BYTES, num_bytes))):
            copy.write(block)
            num_bytes -= len(block)
