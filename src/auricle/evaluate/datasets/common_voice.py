"""Common Voice 15 as Mozilla ships it, one archive for each locale: sentences read by volunteers.

    cv-corpus-15.0-2023-09-08/fr/test.tsv           client_id path sentence up_votes ..., with a header
    cv-corpus-15.0-2023-09-08/fr/clips/common_voice_fr_1.mp3
    cv-corpus-15.0-2023-09-08/fr/clip_durations.tsv clip duration[ms]

The published row for Cantonese has 5593 samples: that is the test set of the locale zh-HK. The locale yue, a smaller
one of 2565, is read as a source of its own. client_id is a speaker. Fields are not quoted, sentences hold quotes.
Ardila et al., LREC 2020; https://commonvoice.mozilla.org/datasets (CC0); counts: github.com/common-voice/cv-dataset.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from auricle.errors import UserError
from auricle.evaluate.datasets.transcripts import nearest, paired, read_tsv, unique
from auricle.evaluate.prompts import recognise
from auricle.evaluate.sample import Sample

_LOCALES = {  # folder -> source and language
    "en": ("common_voice_15_en", "en"),
    "zh-CN": ("common_voice_15_zh", "zh"),
    "zh-HK": ("common_voice_15_yue", "yue"),
    "yue": ("common_voice_15_locale_yue", "yue"),
    "fr": ("common_voice_15_fr", "fr"),
}
_NEEDED = ("client_id", "path", "sentence")
_RELEASE = re.compile(r"cv-corpus-(\d+)")


def read(folder: Path) -> list[Sample]:
    """The test sets of whichever of the locales are there.

    Args:
        folder: a locale, `cv-corpus-15.0-...`, or a folder that holds it.

    Raises:
        UserError: there is no such locale, it is another release, or a test set is not whole.
    """
    found = {path.parent.resolve().name: path.parent for path in nearest(folder, "test.tsv")}
    known = [locale for locale in _LOCALES if locale in found]
    if not known:
        raise UserError(
            f"no Common Voice under {folder}; expected LOCALE/test.tsv and LOCALE/clips/*.mp3, LOCALE one of "
            f"{', '.join(_LOCALES)}"
        )
    return [sample for locale in known for sample in _locale(found[locale], *_LOCALES[locale])]


def _locale(folder: Path, source: str, language: str) -> list[Sample]:
    release = _RELEASE.search(str(folder.resolve()))
    if release and release[1] != "15":
        raise UserError(
            f"{folder} is release {release[1]} of Common Voice; expected 15, which the published table is of"
        )
    table = folder / "test.tsv"
    rows = unique(table, ((Path(row["path"]).stem, row) for row in _rows(table)))
    clips = {stem: folder / "clips" / _file_name(row["path"]) for stem, row in rows.items()}
    recordings = {stem: clip for stem, clip in clips.items() if clip.is_file()}
    durations = _durations(folder / "clip_durations.tsv", {clip.name for clip in clips.values()})
    texts = {stem: row["sentence"].strip() for stem, row in rows.items()}
    return [
        Sample(
            id=stem,
            dataset="common_voice_15",
            source=source,
            task="asr",
            audio=clip,
            prompt=recognise(language),
            reference=text,
            language=language,
            speaker=rows[stem]["client_id"] or None,
            duration_s=durations.get(clip.name),
        )
        for stem, text, clip in paired(folder, texts, recordings)
    ]


def _file_name(path: str) -> str:
    """Early releases name clips without their ending."""
    return path if Path(path).suffix else f"{path}.mp3"


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """The columns that are needed, of each row."""
    lines = read_tsv(path)
    _, header = next(lines, ("", []))
    absent = [name for name in _NEEDED if name not in header]
    if absent:
        raise UserError(
            f"{path} has no column {', '.join(absent)}; expected {', '.join(_NEEDED)} and more in its header"
        )
    for where, fields in lines:
        if len(fields) != len(header):
            raise UserError(f"{where} has {len(fields)} fields, its header {len(header)}; unpack the archive again")
        row = dict(zip(header, fields, strict=True))
        yield {name: row[name] for name in _NEEDED}


def _durations(path: Path, wanted: set[str]) -> dict[str, float]:
    """File name -> seconds, of those that are stated; the table is of all clips and may be missing."""
    durations: dict[str, float] = {}
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                name, _, stated_ms = line.rstrip("\n").partition("\t")
                if name in wanted and stated_ms.isdecimal():
                    durations[name] = int(stated_ms) / 1000
    return durations
