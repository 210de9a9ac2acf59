"""The recordings of the Debian packages with what is said in them, found in the unpacked packages.

Asterisk's telephone prompts in five languages, five sentences of an audiobook, and the stamps of Tux Paint with their
spoken descriptions. Every function takes the root of an unpacked package (`.../usr/share/...`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from auricle.evaluate.datasets.debian_split import is_test, normalise
from auricle.evaluate.datasets.debian_texts import clean, is_sound, read_list, spoken_text, stamp_texts

ASTERISK_LANGUAGES = ("en", "es", "fr", "it", "ru")
ASTERISK_SOUNDS = {  # no speech; the texts say what is heard
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
MIN_SPEECH_S = 0.15  # what is shorter holds no word
_SOUNDS = "usr/share/asterisk/sounds"
_LIBRIVOX = "usr/share/pocketsphinx/test/data/librivox"
_STAMPS = "usr/share/tuxpaint/stamps"
_TUX_FILE = re.compile(r"(?P<stem>.+?)(?P<description>_desc)?(?:_(?P<tag>[a-z]{2}(?:_[A-Za-z]{2})?))?\.ogg")


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording of a package.

    identity: as the split and the manifests of `recipes/mini` know it. name: its path in the package's sounds without
    the ending; no two are equal. language: spoken; None for a sound effect, whose text then is the thing's name.
    container: FFmpeg's name of the format where the file cannot say it itself. english: what the stamp's description
    means.
    """

    identity: str
    name: str
    path: Path
    text: str
    language: str | None
    is_test: bool
    container: str | None = None
    english: str = ""


def asterisk_prompts(texts: Path, sounds: Path, language: str) -> Iterator[Recording]:
    """The prompts of one language; those without a clear text are left out.

    Args:
        texts: the package asterisk-core-sounds-LANGUAGE.
        sounds: the package asterisk-core-sounds-LANGUAGE-g722.
        language: one of ASTERISK_LANGUAGES.
    """
    name = f"core-sounds-{language}"
    prompts = read_list(texts / f"usr/share/doc/asterisk-{name}/{name}.txt.gz")
    (voice,) = (sounds / _SOUNDS).iterdir()
    for path in sorted(voice.rglob("*.g722")):
        identity = path.relative_to(voice).with_suffix("").as_posix()
        raw = prompts.get(identity, "")
        text = None if identity in ASTERISK_SOUNDS or is_sound(raw) else clean(raw, language=language)
        if text is not None:
            yield Recording(identity, identity, path, text, language, is_test(identity), "g722")


def asterisk_sounds(sounds: Path) -> Iterator[Recording]:
    """The tones and the monkeys of one language's set."""
    for identity, text in ASTERISK_SOUNDS.items():
        (path,) = (sounds / _SOUNDS).glob(f"*/{identity}.g722")
        yield Recording(identity, identity, path, text, None, is_test(identity), "g722")


def librivox_sentences(package: Path) -> Iterator[Recording]:
    """The five audiobook sentences of pocketsphinx-testdata: test only, a speaker who is nowhere in training.

    Raises:
        ValueError: the package's transcript has other words.
    """
    folder = package / _LIBRIVOX
    transcript = normalise((folder / "transcription").read_text())
    for number, text in LIBRIVOX.items():
        if normalise(text) not in transcript:
            raise ValueError(f"text of {number} is {text!r}, which is not in {folder / 'transcription'}; mend LIBRIVOX")
        (path,) = folder.glob(f"*-{number}.wav")
        yield Recording(path.stem, path.stem, path, text, "en", True)


def stamp_recordings(package: Path) -> Iterator[Recording]:
    """Every recording of tuxpaint-stamps-default whose text is known.

    Outside the descriptions a recording is a sound effect, except for numbers, whose sound is their name; what the
    letters' recordings say is not written (a letter's name or its sound), so they are left out.
    """
    stamps = package / _STAMPS
    for path in sorted(stamps.rglob("*.ogg")):
        match = _TUX_FILE.fullmatch(path.name)
        if match is None or ("alphabets" in path.parts and not match["description"]):
            continue
        stem = match["stem"]
        texts = stamp_texts(path.with_name(f"{stem}.txt"))
        tag = (match["tag"] or "en").replace("zh_tw", "zh_TW")
        text, english = texts.get(tag, texts.get(tag[:2])), texts.get("en", "")
        is_speech = match["description"] or match["tag"] or "math" in path.parts
        if text and is_speech:
            text = spoken_text(text, stem=stem, language=tag[:2])
        if text:
            name = path.relative_to(stamps).with_suffix("")
            identity, language = (name.parent / stem).as_posix(), tag[:2] if is_speech else None
            yield Recording(identity, name.as_posix(), path, text, language, is_test(stem), english=english)


def stamp_sound(package: Path, name: str) -> Path:
    """The sound effect of a stamp, named by its path without the ending."""
    return package / _STAMPS / f"{name}.ogg"


def is_needed(file: PurePosixPath) -> bool:
    """Whether a file of these packages is a text or may be one of the benchmark's recordings; else it stays packed."""
    if file.suffix == ".g722":
        return is_test(PurePosixPath(*file.parts[len(_SOUNDS.split("/")) + 1 :]).with_suffix("").as_posix())
    if file.suffix == ".ogg":
        match = _TUX_FILE.fullmatch(file.name)
        return match is not None and (is_test(match["stem"]) or not (match["description"] or match["tag"]))
    return file.name == "transcription" or file.suffix in (".gz", ".txt", ".wav")
