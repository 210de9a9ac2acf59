"""debian-speech: human speech and sounds out of Debian packages, the same for everybody in a few minutes.

Recognition in English (one speaker that the embedded model knows, with new words; one that is new), in four more
languages of telephone prompts and ten of Tux Paint's descriptions; translation of all but the English into English;
sound effects named from a closed list. Only test recordings (`debian_split`) are in it, each once: of recordings with
the same samples the first stands for all, and none where their texts differ.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from auricle.data.parallel import in_order
from auricle.errors import UserError
from auricle.evaluate.datasets.debian_packages import MIRRORS, DebianPackage, fetch_package
from auricle.evaluate.datasets.debian_pins import PACKAGES
from auricle.evaluate.datasets.debian_recordings import (
    ASTERISK_LANGUAGES,
    MIN_SPEECH_S,
    Recording,
    asterisk_prompts,
    is_needed,
    librivox_sentences,
    stamp_recordings,
    stamp_sound,
)
from auricle.evaluate.datasets.debian_sounds import SOUND_LABELS
from auricle.evaluate.datasets.debian_split import normalise
from auricle.evaluate.datasets.flac import convert, flac_duration_s
from auricle.evaluate.download import Watch
from auricle.evaluate.prompts import name_sound, recognise, translate
from auricle.evaluate.sample import Sample

DATASET = "debian-speech"
SOUNDS = "tuxpaint_sounds"
TUXPAINT_LANGUAGES = ("be", "bg", "ca", "da", "el", "es", "fr", "nl", "ro", "ru")  # with ten test recordings or more
SOURCES = (
    *(f"asterisk_{language}" for language in ASTERISK_LANGUAGES),
    "librivox_en",
    *(f"tuxpaint_{language}" for language in TUXPAINT_LANGUAGES),
    *(f"asterisk_{language}_en_translation" for language in ASTERISK_LANGUAGES if language != "en"),
    *(f"tuxpaint_{language}_en_translation" for language in TUXPAINT_LANGUAGES),
    SOUNDS,
)
ASTERISK_SPEAKERS = {  # as the packages' copyright files name them
    "en": "Allison Smith",
    "es": "Allison Smith",
    "fr": "June Wallack",
    "it": "Carlo Flora",
    "ru": "Maxim Topal",
}
KNOWN = "speaker_in_training"  # among a sample's details: known or new to the embedded model
_RULES = 1  # another number whenever the same packages would give other samples
_LEARNT_ENGLISH = frozenset({"greater than"})  # a description in English that is a prompt of the training split, too


@dataclass(frozen=True, slots=True)
class _Clip:
    """A recording as the benchmark keeps it."""

    source: str
    recording: Recording
    audio: Path
    speaker: str | None


def download(
    folder: Path,
    watch: Watch | None = None,
    *,
    packages: Sequence[DebianPackage] = PACKAGES,
    mirrors: Sequence[str] = MIRRORS,
) -> None:
    """Fetch the packages, 230 MB, keep what is needed of them, 50 MB, and convert it; a second call goes on.

    Args:
        folder: of the data set.
        watch: told how many bytes of all packages are there.
        packages, mirrors: other versions, other places.

    Raises:
        UserError: a package cannot be had or unpacked.
    """
    total = sum(package.num_bytes for package in packages)
    before = 0
    for package in packages:
        part = None if watch is None else _part_of(watch, before, total)
        fetch_package(package, _packages(folder), wanted=is_needed, watch=part, mirrors=mirrors)
        before += package.num_bytes
    clips = [*_speech(folder), *_sounds(folder)]

    def made(index: int) -> float:
        recording = clips[index].recording
        return convert(recording.path, clips[index].audio, container=recording.container)

    for _ in in_order(made, len(clips)):
        pass


def version() -> str:
    """Another one whenever `read` gives other samples: sha256 over the pins of the packages and the rules' number."""
    return hashlib.sha256(f"{_RULES} {PACKAGES}".encode()).hexdigest()


def read(folder: Path) -> list[Sample]:
    """Every sample, source after source in the order of SOURCES.

    Raises:
        UserError: the folder does not hold all of the data set.
    """
    speech, sounds = _speech(folder), _sounds(folder)
    if missing := [clip.audio for clip in (*speech, *sounds) if not clip.audio.is_file()]:
        raise UserError(
            f"{len(missing)} recordings of {DATASET} are missing in {folder}, the first is {missing[0]}; run "
            f"`auricle data download {DATASET}`"
        )
    speech = [clip for clip in _distinct(speech) if flac_duration_s(clip.audio) >= MIN_SPEECH_S]
    english = {clip.recording.identity: clip.recording.text for clip in speech if clip.source == "asterisk_en"}
    samples = [_recognition(clip) for clip in speech]
    samples += [sample for clip in speech if (sample := _translation(clip, english))]
    samples += [_naming(clip) for clip in sounds]
    return sorted(samples, key=lambda sample: SOURCES.index(sample.source))


def _packages(folder: Path) -> Path:
    return folder / "packages"


def _part_of(watch: Watch, before: int, total: int) -> Watch:
    return lambda num_bytes, _: watch(before + num_bytes, total)


def _speech(folder: Path) -> list[_Clip]:
    return [
        _Clip(source, recording, folder / "audio" / source / f"{recording.name}.flac", speaker)
        for source, speaker, recording in _recordings(_packages(folder))
        if recording.is_test
    ]


def _recordings(packages: Path) -> Iterator[tuple[str, str, Recording]]:
    """Source, speaker, recording."""
    if lacking := [package.name for package in PACKAGES if not (packages / package.name).is_dir()]:
        raise UserError(
            f"{packages} lacks {', '.join(lacking)}, of which {DATASET} is made; run `auricle data download {DATASET}`"
        )
    for language in ASTERISK_LANGUAGES:
        name = f"asterisk-core-sounds-{language}"
        for recording in asterisk_prompts(packages / name, packages / f"{name}-g722", language):
            yield f"asterisk_{language}", ASTERISK_SPEAKERS[language], recording
    for recording in librivox_sentences(packages / "pocketsphinx-testdata"):
        yield "librivox_en", "librivox", recording
    for recording in stamp_recordings(packages / "tuxpaint-stamps-default"):
        if recording.language in TUXPAINT_LANGUAGES:
            yield f"tuxpaint_{recording.language}", f"tuxpaint-{recording.language}", recording


def _sounds(folder: Path) -> list[_Clip]:
    package = _packages(folder) / "tuxpaint-stamps-default"
    return [
        _Clip(
            SOUNDS,
            Recording(name, name, stamp_sound(package, name), label, None, True),
            folder / "audio" / SOUNDS / f"{name}.flac",
            None,
        )
        for label, names in SOUND_LABELS.items()
        for name in names
    ]


def _distinct(clips: Sequence[_Clip]) -> list[_Clip]:
    """Each recording once; none where copies of it have different texts, for then nobody knows what it says."""
    copies: dict[tuple[str, bytes], list[_Clip]] = {}
    for clip in clips:
        copies.setdefault((clip.source, hashlib.sha256(clip.audio.read_bytes()).digest()), []).append(clip)
    return [same[0] for same in copies.values() if len({normalise(clip.recording.text) for clip in same}) == 1]


def _recognition(clip: _Clip) -> Sample:
    language = clip.recording.language or ""
    return Sample(
        clip.recording.name,
        DATASET,
        clip.source,
        "asr",
        clip.audio,
        recognise(language),
        clip.recording.text,
        language=language,
        speaker=clip.speaker,
        duration_s=round(flac_duration_s(clip.audio), 3),
        details=((KNOWN, "known" if clip.source.startswith("asterisk") else "new"),),
    )


def _translation(clip: _Clip, english: dict[str, str]) -> Sample | None:
    """Into English, where it is known what the recording means; the prompts share their ids across languages."""
    asked = clip.recording
    meaning = english.get(asked.identity) if clip.source.startswith("asterisk") else asked.english
    language = asked.language or ""
    if language == "en" or not meaning or normalise(meaning) in _LEARNT_ENGLISH:
        return None
    return replace(
        _recognition(clip),
        source=f"{clip.source}_en_translation",
        task="translation",
        prompt=translate(language, "en"),
        reference=meaning,
        target_language="en",
    )


def _naming(clip: _Clip) -> Sample:
    labels = tuple(SOUND_LABELS)
    return Sample(
        clip.recording.name,
        DATASET,
        clip.source,
        "sound",
        clip.audio,
        name_sound(labels),
        clip.recording.text,
        duration_s=round(flac_duration_s(clip.audio), 3),
        labels=labels,
    )
