"""What stage 1 teaches: the names of its tasks, what a record of each must say, and the default mixture."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from auricle.data.records import Labelled
from auricle.errors import UserError

Family = Literal["speech", "sound", "music"]

# The brief's 520,000 hours of pre-training by family, 71.2 : 1.9 : 26.9; a task's family decides its default weight.
FAMILY_HOURS: dict[Family, float] = {"speech": 370_000.0, "sound": 10_000.0, "music": 140_000.0}

# The languages that translation goes between, under the names that its prompts say: the four of the brief and the
# three more of the published evaluation and blog. Mandarin is what the published prompts call zh.
TRANSLATION_LANGUAGES = {
    "zh": "Mandarin",
    "en": "English",
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "it": "Italian",
    "ja": "Japanese",
}


@dataclass(frozen=True, slots=True)
class Task:
    """A task of stage 1.

    name: what a manifest says. also: names that papers use. family: for the default mixture.
    tagged: prompts may ask to detect the language; the answer then starts with its tag, as in the paper's figure.
    needs_target_language: the record names the language that the target is written in.
    closed: targets are a few labels that come again and again. labels: the only ones there are; empty where the data
    decide (MELD's emotions, VocalSound's classes).
    """

    name: str
    family: Family
    also: tuple[str, ...] = ()
    tagged: bool = False
    needs_target_language: bool = False
    closed: bool = False
    labels: tuple[str, ...] = ()


_CODE = re.compile(r"[a-z]{2,3}")  # what a language tag may hold
TASKS = (
    Task("asr", "speech", ("transcription", "speech_recognition"), tagged=True),
    Task("translation", "speech", ("s2tt", "st"), tagged=True, needs_target_language=True),
    Task("emotion", "speech", ("ser",), closed=True),
    Task("voice_activity", "speech", ("vad",), closed=True, labels=("speech", "no speech")),
    Task("speaker_identity", "speech", ("sid", "speaker"), closed=True),
    Task("language_identification", "speech", ("lid", "langid"), closed=True),
    Task("captioning", "sound", ("aac", "caption")),
    Task("vocal_sound", "sound", ("vsc",), closed=True),
    Task("music", "music", ("music_captioning",)),
    # A spoken request whose target is the reply: stage 2's voice chat from a labelled recording; stage 1 has no prompt.
    Task("voice_chat", "speech", ("spoken_request",)),
)


def task_named(name: str) -> Task:
    """The task of a name, or of a name that papers use for it.

    Raises:
        UserError: there is no such task; the nearest name is given.
    """
    names = {known: task for task in TASKS for known in (task.name, *task.also)}
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}" if near else "give one of them"
        raise UserError(f"unknown task {name!r}: expected one of {', '.join(task.name for task in TASKS)}; {hint}")
    return names[name]


def check(record: Labelled) -> Task:
    """The record's task, once the record carries all that the task's prompts and answers are made of.

    Raises:
        UserError: the task is unknown, or the record lacks a recording, a target or a language, or has a wrong one.
    """
    task = task_named(record.task)
    if not record.recordings:
        raise UserError(f"{record.where}: no recording, expected at least one; name it in the line")
    if not record.target.strip() and task.name != "asr":
        raise UserError(f"{record.where}: the target of {task.name} is empty; give what should be answered")
    if task.labels and record.target not in task.labels:
        raise UserError(
            f"{record.where}: the target of {task.name} is {record.target!r}, expected {' or '.join(task.labels)}; "
            "rename the label"
        )
    if record.language is not None and not _CODE.fullmatch(record.language):
        raise UserError(f"{record.where}: language {record.language!r}, expected an ISO 639 code such as en or yue")
    if task.needs_target_language:
        if record.target_language is None:
            raise UserError(f"{record.where}: {task.name} without target_language; say which language the target is in")
        target_name(record.target_language, record.where)
    return task


def target_name(language: str, where: str) -> str:
    """What a translation prompt calls the language: a code of the seven, or any name written out (`Russian`).

    Raises:
        UserError: another code.
    """
    name = TRANSLATION_LANGUAGES.get(language, language)
    if not (name[:1].isupper() and name.replace(" ", "").isalpha()):
        codes = ", ".join(TRANSLATION_LANGUAGES)
        raise UserError(
            f"{where}: target_language {language!r} has no name in prompts; expected one of {codes}, or write the "
            "English name of another, such as Russian"
        )
    return name


def default_weights(sources: Mapping[str, tuple[str, float]]) -> dict[str, float]:
    """Each source's share of the draws, so that the families stand as the brief's hours do.

    Args:
        sources: name -> (its task, its hours).

    Returns:
        name -> hours: a family's hours divided among its sources in proportion to what they have.

    Raises:
        UserError: an unknown task, or a family whose sources have no hours at all.
    """
    families = {name: task_named(task).family for name, (task, _) in sources.items()}
    weights = {}
    for name, family in families.items():
        total = sum(hours for other, (_, hours) in sources.items() if families[other] == family)
        if total <= 0:
            raise UserError(f"the sources of {family} have {total:g} hours; expected more than 0, or give the weights")
        weights[name] = FAMILY_HOURS[family] * sources[name][1] / total
    return weights
