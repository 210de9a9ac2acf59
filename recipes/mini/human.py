"""Human recordings whose texts are written: Asterisk's prompts, one audiobook reader, Tux Paint's descriptions.

Writes flac files and one manifest per source under the data root. What exists is not converted again.
Run: python recipes/mini/human.py --data DIR --packages DIR
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import clips
import packages
from auricle.evaluate.datasets.debian_recordings import (
    ASTERISK_LANGUAGES,
    MIN_SPEECH_S,
    Recording,
    asterisk_prompts,
    asterisk_sounds,
    librivox_sentences,
    stamp_recordings,
)
from auricle.evaluate.datasets.debian_split import normalise
from clips import Clip

SOURCES = ("asterisk", "librivox", "tuxpaint")


def convert(
    recordings: Iterable[Recording], *, data: Path, folder: str, speaker: str, source: str, licence: str
) -> list[Clip]:
    """Convert recordings into a folder of the data root; speech that is too short to hold a word is left out."""
    found = []
    for one in recordings:
        audio = f"{folder}/{one.name}.flac"
        length_s = clips.convert(one.path, data / audio, container=one.container)
        kind, split = "human" if one.language else "sound", "test" if one.is_test else "train"
        if length_s >= MIN_SPEECH_S:
            language = one.language or "en"
            found.append(Clip(one.identity, audio, one.text, language, speaker, source, length_s, kind, split, licence))
    return found


def asterisk(language: str, *, data: Path, package_root: Path) -> list[Clip]:
    """Convert the prompts of one language."""
    name, source = f"asterisk-core-sounds-{language}", f"asterisk-{language}"
    texts, sounds = (packages.fetch(package, package_root) for package in (name, f"{name}-g722"))
    licence = "CC-BY-3.0" if language in ("it", "ru") else "CC-BY-SA-3.0"
    recordings = asterisk_prompts(texts, sounds, language)
    return convert(recordings, data=data, folder=source, speaker=source, source=source, licence=licence)


def effects(*, data: Path, package_root: Path) -> list[Clip]:
    """Convert the tones and the monkeys of the English set."""
    recordings = asterisk_sounds(packages.fetch("asterisk-core-sounds-en-g722", package_root))
    return convert(recordings, data=data, folder="sounds", speaker="none", source="asterisk-en", licence="CC-BY-SA-3.0")


def librivox(*, data: Path, package_root: Path) -> list[Clip]:
    """Convert the five audiobook sentences."""
    recordings = librivox_sentences(packages.fetch("pocketsphinx-testdata", package_root))
    return convert(
        recordings, data=data, folder="librivox", speaker="librivox", source="librivox", licence="BSD-2-Clause"
    )


def tuxpaint(*, data: Path, package_root: Path) -> tuple[list[Clip], list[Clip]]:
    """Convert Tux Paint's recordings; returns spoken descriptions and sound effects."""
    spoken: list[Clip] = []
    sounds: list[Clip] = []
    for one in stamp_recordings(packages.fetch("tuxpaint-stamps-default", package_root)):
        folder, speaker = ("tuxpaint", f"tuxpaint-{one.language}") if one.language else ("tuxpaint_effects", "none")
        made = convert([one], data=data, folder=folder, speaker=speaker, source="tuxpaint", licence="GPL-2.0-or-later")
        (spoken if one.language else sounds).extend(made)
    return spoken, sounds


def settle(*, data: Path) -> dict[str, int]:
    """Drop every training clip whose text equals a test text of any source; returns how many by manifest."""
    manifests = {path: clips.read_manifest(path) for path in sorted(data.glob("*.jsonl")) if _is_ours(path)}
    held_out = {normalise(clip.text) for found in manifests.values() for clip in found if clip.split == "test"}
    dropped = {}
    for path, found in manifests.items():
        kept = [clip for clip in found if clip.split == "test" or normalise(clip.text) not in held_out]
        dropped[path.stem] = len(found) - len(kept)
        if len(kept) < len(found):
            clips.write_manifest(kept, path)
    return dropped


def _is_ours(path: Path) -> bool:
    return path.stem.startswith("asterisk-") or path.stem in ("librivox", "tuxpaint")


def main() -> None:
    """Make the sources that are asked for, in order, then hold the test texts out of all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="data root; manifests and audio go here")
    parser.add_argument("--packages", type=Path, required=True, help="where packages are unpacked")
    parser.add_argument("--only", choices=SOURCES, action="append", help="a source to make; repeatable; default all")
    parser.add_argument("--language", choices=ASTERISK_LANGUAGES, action="append", help="of the prompts; default all")
    options = parser.parse_args()
    roots = {"data": options.data, "package_root": options.packages}
    wanted = options.only or SOURCES
    if "asterisk" in wanted:
        for language in options.language or ASTERISK_LANGUAGES:
            clips.write_manifest(asterisk(language, **roots), options.data / f"asterisk-{language}.jsonl")
        clips.write_manifest(effects(**roots), options.data / "sounds.jsonl")
    if "librivox" in wanted:
        clips.write_manifest(librivox(**roots), options.data / "librivox.jsonl")
    if "tuxpaint" in wanted:
        spoken, sounds = tuxpaint(**roots)
        clips.write_manifest(spoken, options.data / "tuxpaint.jsonl")
        clips.write_manifest(sounds, options.data / "tuxpaint_effects.jsonl")
    for manifest, num_dropped in settle(data=options.data).items():
        print(f"{manifest}: {num_dropped} training clips dropped because a test text equals theirs")


if __name__ == "__main__":
    main()
