"""CoVoST 2 as Meta ships it, translations of sentences of Common Voice 4, read into the seven published directions.

    covost_v2.en_zh-CN.tsv                          path translation split, in covost_v2.en_zh-CN.tsv.tar.gz
    covost_v2.en_zh-CN.{dev,test}.tsv               or path sentence translation client_id, as its own script splits it
    en/clips/common_voice_en_1.mp3                  Common Voice 4, one archive for each language
    en/validated.tsv                                client_id path sentence ...

Of the first form only clips that validated.tsv lists are samples, as the script does it. client_id is a speaker.
Chinese is zh-CN in names of files and folders. Four directions are published with dev and test pooled, three with test
alone.
Wang et al., arXiv:2007.10310; https://github.com/facebookresearch/covost (CC0).
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from auricle.errors import UserError
from auricle.evaluate.datasets.tables import tsv_rows
from auricle.evaluate.datasets.transcripts import nearest, paired
from auricle.evaluate.prompts import translate
from auricle.evaluate.sample import Sample

DIRECTIONS = {  # spoken language, language of the translation -> splits of the published row
    ("en", "zh"): ("dev", "test"),
    ("en", "de"): ("dev", "test"),
    ("de", "en"): ("dev", "test"),
    ("zh", "en"): ("dev", "test"),
    ("es", "en"): ("test",),
    ("fr", "en"): ("test",),
    ("it", "en"): ("test",),
}
_LOCALES = {"zh": "zh-CN"}
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Part:
    """One split of a direction."""

    language: str
    target: str
    split: str

    @property
    def table(self) -> str:
        """Its name without `.tsv`, and without the split."""
        return table_name(self.language, self.target)


class _CommonVoice:
    """The clips of a language and who speaks in them."""

    def __init__(self, clips: Path) -> None:
        self.clips = clips

    @cached_property
    def speakers(self) -> dict[str, str]:
        """File name -> client_id, of the validated clips."""
        table = self.clips.parent / "validated.tsv"
        if not table.is_file():
            raise UserError(
                f"{table} is not there; unpack the whole archive of Common Voice 4, it says whose voice it is"
            )
        return {row["path"]: row["client_id"] for row in tsv_rows(table, ("client_id", "path"))}


def table_name(language: str, target: str) -> str:
    """`covost_v2.en_zh-CN`, of two ISO codes."""
    return f"covost_v2.{_LOCALES.get(language, language)}_{_LOCALES.get(target, target)}"


def read(folder: Path) -> list[Sample]:
    """The samples of whichever directions have both their table and the clips of Common Voice 4.

    Args:
        folder: holds the tables, and the folders of the languages (`en`, `zh-CN`) with their `clips`; each may lie up
            to three folders deeper.

    Raises:
        UserError: there are no tables, no clips, or clips are missing.
    """
    parts = [_Part(*direction, split) for direction, splits in DIRECTIONS.items() for split in splits]
    tables = {part: table for part in parts if (table := _table(folder, part))}
    if not tables:
        raise UserError(
            f"no CoVoST 2 under {folder}; expected covost_v2.en_de.tsv or covost_v2.en_de.test.tsv and the like, from "
            "auricle data download covost2"
        )
    spoken = dict.fromkeys(part.language for part in tables)
    voices = {language: _CommonVoice(clips) for language in spoken if (clips := _clips(folder, language))}
    absent = [_LOCALES.get(language, language) for language in spoken if language not in voices]
    if not voices:
        raise UserError(
            f"no clips of Common Voice 4 under {folder}; expected LANGUAGE/clips/*.mp3 with LANGUAGE one of "
            f"{', '.join(absent)}"
        )
    if absent:
        _LOG.warning("left out translations from %s: there are no clips LANGUAGE/clips/*.mp3", ", ".join(absent))
    return [
        sample
        for part, table in tables.items()
        if part.language in voices
        for sample in _samples(part, table, voices[part.language])
    ]


def _table(folder: Path, part: _Part) -> Path | None:
    found = nearest(folder, f"{part.table}.{part.split}.tsv") or nearest(folder, f"{part.table}.tsv")
    return found[0] if found else None


def _clips(folder: Path, language: str) -> Path | None:
    found = nearest(folder, f"{_LOCALES.get(language, language)}/clips")
    return next((path for path in found if path.is_dir()), None)


def _samples(part: _Part, table: Path, voice: _CommonVoice) -> Iterator[Sample]:
    rows = {Path(path).stem: (path, translation, speaker) for path, translation, speaker in _rows(part, table, voice)}
    if not rows:
        raise UserError(
            f"no {part.split} clip of {table} is among those beside {voice.clips}; expected release 4 of Common Voice"
        )
    files = {stem: voice.clips / path for stem, (path, *_) in rows.items()}
    recordings = {stem: file for stem, file in files.items() if file.is_file()}
    for stem, translation, recording in paired(table, {stem: row[1] for stem, row in rows.items()}, recordings):
        yield Sample(
            id=stem,
            dataset="covost2",
            source=f"covost2_{part.language}_{part.target}_{part.split}",
            task="translation",
            audio=recording,
            prompt=translate(part.language, part.target),
            reference=translation,
            language=part.language,
            target_language=part.target,
            speaker=rows[stem][2] or None,
        )


def _rows(part: _Part, table: Path, voice: _CommonVoice) -> Iterator[tuple[str, str, str]]:
    """File name, translation and speaker of the split, of either form of the table."""
    if table.name == f"{part.table}.tsv":
        for row in tsv_rows(table, ("path", "translation", "split")):
            if row["split"] == part.split and row["path"] in voice.speakers:
                yield row["path"], row["translation"].strip(), voice.speakers[row["path"]]
    else:
        for row in tsv_rows(table, ("path", "translation", "client_id")):
            yield row["path"], row["translation"].strip(), row["client_id"]
