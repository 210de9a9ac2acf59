"""Noise and music to mix under speech: towns, traffic, crowds, water, wind, machines, and minutes of hold music.

Writes `DATA/noise/*.flac` and `DATA/noise.jsonl`; knows nothing of how they are mixed.
Run: python recipes/mini/noise.py --data DIR --packages DIR
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import clips
import packages
from clips import Clip

_MIN_NOISE_S = 0.5


@dataclass(frozen=True, slots=True)
class Material:
    """Recordings of one package: where they lie, and which seconds of each are taken."""

    package: str
    pattern: str
    text: str
    licence: str
    container: str | None = None
    offset_s: float = 0.0
    limit_s: float | None = None


MATERIALS = (
    Material("lincity-ng-data", "usr/share/games/lincity-ng/sounds/*.wav", "A town.", "GPL-2.0-or-later"),
    Material(
        "wesnoth-1.16-data", "usr/share/games/wesnoth/*/data/core/sounds/ambient/*.ogg", "Outdoors.", "GPL-2.0-or-later"
    ),
    Material(
        "asterisk-moh-opsound-g722", "usr/share/asterisk/moh/*.g722", "Music.", "CC-BY-SA-3.0",
        container="g722", offset_s=20.0, limit_s=60.0,
    ),
)  # fmt: skip


def gather(material: Material, *, data: Path, package_root: Path) -> list[Clip]:
    """Convert the recordings of one package; silent and very short ones are left out."""
    found = []
    for recording in sorted(packages.fetch(material.package, package_root).glob(material.pattern)):
        name = f"{material.package.split('-')[0]}-{recording.stem}"
        path = data / "noise" / f"{name}.flac"
        if not path.exists():
            samples = clips.decode(
                recording, container=material.container, offset_s=material.offset_s, limit_s=material.limit_s
            )
            if samples.size < _MIN_NOISE_S * clips.SAMPLE_RATE_HZ or not samples.any():
                continue
            clips.write_flac(samples, path)
        length_s = round(clips.flac_duration_s(path), 3)
        audio = path.relative_to(data).as_posix()
        found.append(
            Clip(
                name, audio, material.text, "en", "none", material.package, length_s, "noise", "train", material.licence
            )
        )
    return found


def main() -> None:
    """Convert all materials and write their manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="data root; manifests and audio go here")
    parser.add_argument("--packages", type=Path, required=True, help="where packages are unpacked")
    options = parser.parse_args()
    roots = {"data": options.data, "package_root": options.packages}
    found = [clip for material in MATERIALS for clip in gather(material, **roots)]
    clips.write_manifest(found, options.data / "noise.jsonl")
    print(f"{len(found)} recordings, {sum(clip.duration_s for clip in found) / 60:.1f} min")


if __name__ == "__main__":
    main()
