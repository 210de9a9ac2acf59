"""Human recordings whose texts are written: Asterisk's prompts, one audiobook reader, Tux Paint's descriptions.

Writes flac files and one manifest per source under the data root. What exists is not converted again.
Run: python recipes/mini/human.py --data DIR --packages DIR
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import clips
import packages
import prompt_text
from clips import Clip
from split import is_test, normalise

ASTERISK_LANGUAGES = ("en", "es", "fr", "it", "ru")
SOURCES = ("asterisk", "librivox", "tuxpaint")
SOUNDS = {
    "ascending-2tone": "Two ascending tones.",
    "beep": "A beep.",
    "beeperr": "An error beep.",
    "confbridge-join": "An ascending beep.",
    "confbridge-leave": "A descending beep.",
    "descending-2tone": "Two descending tones.",
    "tt-monkeys": "Monkeys screaming.",
}
LIBRIVOX = {  # the words are the package's transcript, a stumble included; case and punctuation are ours
    "0870": "And Mister John Dashwood had then leisure to consider how much there might be prudently in his power to "
    "do for them.",
    "0880": "He was not an ill disposed young man.",
    "0890": "Unless to be rather cold hearted and rather selfish is to be ill disposed.",
    "0920": "Had he married a more a amiable woman, he might have been made still more respectable than he was.",
    "0930": "He might even have been made amiable himself.",
}
_TUX_FILE = re.compile(r"(?P<stem>.+?)(?P<description>_desc)?(?:_(?P<tag>[a-z]{2}(?:_[A-Za-z]{2})?))?\.ogg")
_MIN_SPEECH_S = 0.15
_ENGLISH_NAMES = {"mountaingoat": "Mountain goat", "wildboar": "Wild boar"}  # stems of two words
_UNCLEAR_ENGLISH = {"nandou"}  # written as a rhea


def split_of(identity: str) -> str:
    """The split's name in the manifest."""
    return "test" if is_test(identity) else "train"


def asterisk(language: str, *, data: Path, package_root: Path) -> list[Clip]:
    """Convert the prompts of one language; those without a clear text are left out."""
    source = f"asterisk-{language}"
    listing = f"usr/share/doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz"
    prompts = prompt_text.read_list(packages.fetch(f"asterisk-core-sounds-{language}", package_root) / listing)
    sounds = packages.fetch(f"asterisk-core-sounds-{language}-g722", package_root) / "usr/share/asterisk/sounds"
    (voice,) = sounds.iterdir()
    found = []
    for recording in sorted(voice.rglob("*.g722")):
        identity = recording.relative_to(voice).with_suffix("").as_posix()
        raw = prompts.get(identity, "")
        text = None if identity in SOUNDS or prompt_text.is_sound(raw) else prompt_text.clean(raw, language=language)
        if text is None:
            continue
        audio = f"{source}/{identity}.flac"
        length_s = clips.convert(recording, data / audio, container="g722")
        licence = "CC-BY-3.0" if language in ("it", "ru") else "CC-BY-SA-3.0"
        if length_s >= _MIN_SPEECH_S:
            found.append(
                Clip(identity, audio, text, language, source, source, length_s, "human", split_of(identity), licence)
            )
    return found


def asterisk_sounds(*, data: Path, package_root: Path) -> list[Clip]:
    """Convert the tones and the monkeys of the English set; kind `sound`."""
    package = packages.fetch("asterisk-core-sounds-en-g722", package_root)
    found = []
    for identity, text in SOUNDS.items():
        (recording,) = package.glob(f"usr/share/asterisk/sounds/*/{identity}.g722")
        audio = f"sounds/{identity}.flac"
        length_s = clips.convert(recording, data / audio, container="g722")
        found.append(
            Clip(
                identity,
                audio,
                text,
                "en",
                "none",
                "asterisk-en",
                length_s,
                "sound",
                split_of(identity),
                "CC-BY-SA-3.0",
            )
        )
    return found


def librivox(*, data: Path, package_root: Path) -> list[Clip]:
    """Convert the five audiobook sentences: test only, a speaker who is nowhere in training."""
    folder = packages.fetch("pocketsphinx-testdata", package_root) / "usr/share/pocketsphinx/test/data/librivox"
    transcript = normalise((folder / "transcription").read_text())
    found = []
    for number, text in LIBRIVOX.items():
        if normalise(text) not in transcript:
            raise ValueError(f"text of {number} is {text!r}, which is not in {folder / 'transcription'}; mend LIBRIVOX")
        (recording,) = folder.glob(f"*-{number}.wav")
        audio = f"librivox/{recording.stem}.flac"
        length_s = clips.convert(recording, data / audio)
        found.append(
            Clip(recording.stem, audio, text, "en", "librivox", "librivox", length_s, "human", "test", "BSD-2-Clause")
        )
    return found


def stamp_texts(path: Path) -> dict[str, str]:
    """Read a stamp's texts by language tag; the untagged first line is English."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    texts = {"en": lines[0].strip()} if lines else {}
    for line in lines[1:]:
        tag, equals, text = line.partition(".utf8=")
        if equals and text.strip():
            texts[tag] = text.strip()
    return texts


def spoken_text(text: str, *, stem: str, language: str) -> str | None:
    """What the speaker says of a stamp, or None where that is unclear.

    Notes in brackets are read with a pause. The English speaker names the thing alone: `frog` for `A frog.`
    """
    if language == "en" and not stem.isdigit():
        return None if stem in _UNCLEAR_ENGLISH else _ENGLISH_NAMES.get(stem, stem.capitalize())
    return re.sub(r"\s*\(([^)]*)\)", r", \1", text)


def stamp_recordings(stamps: Path) -> Iterator[tuple[Path, str, str, str | None]]:
    """Yield every recording with its stem, its text, and its language; None is the language of a sound effect.

    Outside the descriptions a recording is a sound effect, except for numbers, whose sound is their name; what the
    letters' recordings say is not written (a letter's name or its sound), so they are left out.
    """
    for recording in sorted(stamps.rglob("*.ogg")):
        match = _TUX_FILE.fullmatch(recording.name)
        if match is None or ("alphabets" in recording.parts and not match["description"]):
            continue
        texts = stamp_texts(recording.with_name(f"{match['stem']}.txt"))
        tag = (match["tag"] or "en").replace("zh_tw", "zh_TW")
        text = texts.get(tag, texts.get(tag[:2]))
        is_speech = match["description"] or match["tag"] or "math" in recording.parts
        if text and is_speech:
            text = spoken_text(text, stem=match["stem"], language=tag[:2])
        if text:
            yield recording, match["stem"], text, tag[:2] if is_speech else None


def tuxpaint(*, data: Path, package_root: Path) -> tuple[list[Clip], list[Clip]]:
    """Convert Tux Paint's recordings; returns spoken descriptions and sound effects."""
    stamps = packages.fetch("tuxpaint-stamps-default", package_root) / "usr/share/tuxpaint/stamps"
    spoken: list[Clip] = []
    effects: list[Clip] = []
    for recording, stem, text, language in stamp_recordings(stamps):
        relative = recording.relative_to(stamps).with_suffix("")
        identity = (relative.parent / stem).as_posix()
        audio = f"tuxpaint{'' if language else '_effects'}/{relative.as_posix()}.flac"
        length_s = clips.convert(recording, data / audio)
        if length_s < _MIN_SPEECH_S:
            continue
        speaker, kind = (f"tuxpaint-{language}", "human") if language else ("none", "sound")
        clip = Clip(
            identity,
            audio,
            text,
            language or "en",
            speaker,
            "tuxpaint",
            length_s,
            kind,
            split_of(stem),
            "GPL-2.0-or-later",
        )
        (spoken if language else effects).append(clip)
    return spoken, effects


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
        clips.write_manifest(asterisk_sounds(**roots), options.data / "sounds.jsonl")
    if "librivox" in wanted:
        clips.write_manifest(librivox(**roots), options.data / "librivox.jsonl")
    if "tuxpaint" in wanted:
        spoken, effects = tuxpaint(**roots)
        clips.write_manifest(spoken, options.data / "tuxpaint.jsonl")
        clips.write_manifest(effects, options.data / "tuxpaint_effects.jsonl")
    for manifest, num_dropped in settle(data=options.data).items():
        print(f"{manifest}: {num_dropped} training clips dropped because a test text equals theirs")


if __name__ == "__main__":
    main()
