"""What was trained on and what is held out, as two small files that the repository keeps and a test compares.

    python recipes/mini/manifest.py --data DIR

Each line of training.tsv.gz and test.tsv: source, id, first 16 hexadecimal digits of the audio file's sha256 (of its
samples, so that the container does not matter; `-` for text alone), normalised text.
"""

import argparse
import gzip
import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path

from auricle.evaluate.datasets.debian_split import normalise
from clips import Clip, decode, read_manifest
from mixture import TEST_SETS, Mixture

HERE = Path(__file__).parent
TEST_SOURCES = (*TEST_SETS, "asterisk-es", "asterisk-fr", "asterisk-it", "asterisk-ru", "tuxpaint")


def line(root: Path, clip: Clip) -> str:
    """One clip's line."""
    samples = decode(root / clip.audio)
    return f"{clip.source}\t{clip.id}\t{hashlib.sha256(samples.tobytes()).hexdigest()[:16]}\t{normalise(clip.text)}\n"


def training_lines(root: Path) -> list[str]:
    """Every clip that the mixture may draw, and every replayed text."""
    pool = sorted(Mixture.read(root, seed=1).pool, key=lambda clip: (clip.source, clip.id, clip.audio))
    lines = [line(root, clip) for clip in pool]
    for number, row in enumerate((root / "replay.jsonl").read_text().splitlines()):
        texts = json.loads(row)
        lines.append(f"replay\t{number}\t-\t{normalise(texts['question'] + ' ' + texts['answer'])}\n")
    return lines


def test_lines(root: Path) -> list[str]:
    """Every test clip of every source."""
    clips = [clip for name in TEST_SOURCES for clip in read_manifest(root / f"{name}.jsonl") if clip.split == "test"]
    return [line(root, clip) for clip in sorted(clips, key=lambda clip: (clip.source, clip.id, clip.audio))]


def write_gzip(lines: Iterable[str], path: Path) -> None:
    """The same lines make the same bytes: no time stamp, no name."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
        file.write("".join(lines).encode())
    path.write_bytes(packed.getvalue())


def main() -> None:
    """Write both files beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    root = parser.parse_args().data
    write_gzip(training_lines(root), HERE / "training.tsv.gz")
    (HERE / "test.tsv").write_text("".join(test_lines(root)))


if __name__ == "__main__":
    main()
