"""Stage 1: the bank of wordings, and a labelled recording made into a raw prompt, alone or after solved examples."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from auricle.conversation import Audio, RawPrompt
from auricle.data.records import Example, Group, Labelled, Record
from auricle.data.source import Make, Source
from auricle.data.survey import even_samples, planned_s, seen_in
from auricle.data.tasks import TASKS, Task, check, target_name, task_named
from auricle.errors import UserError

MIN_WORDINGS = 8  # for each task, of prompts and of instructions
PUBLISHED_SHARE = 0.5  # of the draws, for the wording that the released model is evaluated with
TAG_IN_PROMPT_SHARE = 0.5  # of the draws that ask for the language: the tag given, as the official evaluation gives it
MAX_SHOTS = 4  # solved examples
MAX_SHOTS_S = 60.0  # of sound in them; a recording of unknown length counts as a window of 30 s
_KEYS = ("published", "detect", "plain", "instructions")


@dataclass(frozen=True, slots=True)
class Wordings:
    """What a task is called for with; assets/prompts.yaml says what the four are."""

    published: str | None
    detect: tuple[str, ...]
    plain: tuple[str, ...]
    instructions: tuple[str, ...]

    @property
    def prompts(self) -> tuple[str, ...]:
        """All of stage 1."""
        return ((self.published,) if self.published else ()) + self.detect + self.plain


Bank = dict[str, Wordings]


def read_bank(path: Path | None = None) -> Bank:
    """A bank of wordings by task name; None reads the one that comes with the package.

    Raises:
        UserError: the file cannot be read, lacks a task or enough wordings, says one twice, or one does not fit.
    """
    where = resources.files("auricle") / "assets" / "prompts.yaml" if path is None else path
    try:
        contents = yaml.safe_load(where.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot read the prompt bank {where}: {error}; expected a YAML file of tasks") from error
    if not isinstance(contents, dict):
        raise UserError(f"the prompt bank {where} is no mapping; expected task names with their wordings")
    bank = {task_named(str(name)).name: _wordings(str(name), entry, str(where)) for name, entry in contents.items()}
    missing = [task.name for task in TASKS if task.name not in bank and task.name != "voice_chat"]
    if missing:
        raise UserError(f"the prompt bank {where} has no wordings for {', '.join(missing)}; add them")
    _refuse_doubles(bank, str(where))
    return bank


def _wordings(name: str, entry: Any, where: str) -> Wordings:
    if not isinstance(entry, dict) or not set(entry) <= set(_KEYS):
        raise UserError(f"{name} in the prompt bank {where}: expected some of {', '.join(_KEYS)}; rename the keys")
    lists = {key: [entry[key]] if key == "published" else entry[key] for key in entry}
    if not all(isinstance(texts, list) and all(isinstance(text, str) for text in texts) for texts in lists.values()):
        raise UserError(f"{name} in the prompt bank {where}: expected a list of texts under each key; put quotes")
    found = Wordings(entry.get("published"), *(tuple(entry.get(key, ())) for key in _KEYS[1:]))
    if min(len(found.prompts), len(found.instructions)) < MIN_WORDINGS:
        raise UserError(
            f"{name} in the prompt bank {where}: {len(found.prompts)} prompts and {len(found.instructions)} "
            f"instructions, expected at least {MIN_WORDINGS} of each; write more"
        )
    _refuse_misfits(task_named(name), found, where)
    return found


def _refuse_misfits(task: Task, found: Wordings, where: str) -> None:
    if found.detect and not task.tagged:
        raise UserError(f"{task.name} in the prompt bank {where} detects no language; move its wordings to plain")
    if task.tagged and not found.plain:
        raise UserError(
            f"{task.name} in the prompt bank {where} has no plain wording, which recordings of unknown language need"
        )
    expected = ["{target}"] if task.needs_target_language else []
    for text in (*found.prompts, *found.instructions):
        if re.findall(r"\{.*?\}", text) != expected or "<|" in text or text != text.strip() or not text:
            raise UserError(
                f"{task.name} in the prompt bank {where}: {text!r} does not fit; expected text "
                f"{'with {target} once' if expected else 'without braces'}, no tags, no spaces around it"
            )


def _refuse_doubles(bank: Bank, where: str) -> None:
    seen: dict[str, str] = {}
    for wordings in bank.values():
        for text in (*wordings.prompts, *wordings.instructions):
            key = " ".join(re.findall(r"\w+", text.casefold()))
            if key in seen:
                raise UserError(f"the prompt bank {where} says the same twice: {seen[key]!r} and {text!r}; drop one")
            seen[key] = text


def pretrain_make(bank: Bank, *, few_shot: float = 0.0, sources: Sequence[Source] = ()) -> Make:
    """Stage 1: a labelled recording -> one raw prompt and its answer.

    The answer starts with a space, or with a space and the language's tag (` <|en|>text`) where the prompt asks to
    detect the language: prompt and tag together then are the published evaluation's prompt, letter for letter, and
    the official scorer strips the space before a label. Half of such prompts give the tag away, as the evaluation does.

    Args:
        bank: the wordings.
        few_shot: share of the draws that show 1 to 4 solved recordings of the same source, task and language first,
            under the same wording.
        sources: where solved examples come from; read once, where `few_shot` is above 0.

    Raises:
        UserError: `few_shot` is no share. The Make: the record is not labelled, or lacks what its task needs.
    """
    if not 0 <= few_shot <= 1:
        raise UserError(f"few_shot must lie in 0 to 1: got {few_shot}; it is the share of examples with solved ones")
    return _Pretrain(bank, few_shot, even_samples(seen_in(sources, _keyed)) if few_shot > 0 else {})


_Key = tuple[str, str, str | None, str | None]


@dataclass(frozen=True, slots=True)
class _Pretrain:
    bank: Bank
    few_shot: float
    pools: dict[_Key, list[Labelled]]

    def __call__(self, record: Record, rng: np.random.Generator) -> Group:
        if not isinstance(record, Labelled):
            raise UserError(f"{record.where}: stage 1 learns from labelled recordings; give this line to sft or dpo")
        task = check(record)
        if task.name not in self.bank:
            raise UserError(f"{record.where}: {task.name} is no task of stage 1; give this line to sft")
        wording, tag = _draw_wording(self.bank[task.name], record, rng)
        shots = self._draw_shots(record, task, rng) if rng.random() < self.few_shot else []
        content: list[str | Audio] = []
        for shot in shots:
            question, answer = _ask(wording, tag, shot)
            content += [*(Audio() for _ in shot.recordings), f"{question}{answer}\n"]
        question, answer = _ask(wording, tag, record)
        prompt = RawPrompt((*content, *(Audio() for _ in record.recordings), question))
        heard = tuple(recording for item in (*shots, record) for recording in item.recordings)
        return (Example(prompt, answer, heard, record.where, record.source, task.name),)

    def _draw_shots(self, record: Labelled, task: Task, rng: np.random.Generator) -> list[Labelled]:
        """Other recordings; of open tasks none with the same target, which would give the answer away."""
        pool = self.pools.get(_key(record, task), [])
        wanted, shots, room_s = int(rng.integers(1, MAX_SHOTS + 1)), list[Labelled](), MAX_SHOTS_S
        for number in rng.permutation(len(pool)):
            other = pool[number]
            is_own = other.id == record.id or other.recordings == record.recordings
            length_s = planned_s(other.recordings)
            if is_own or (other.target == record.target and not task.closed) or length_s > room_s:
                continue
            shots.append(other)
            room_s -= length_s
            if len(shots) == wanted:
                break
        return shots


def _draw_wording(wordings: Wordings, record: Labelled, rng: np.random.Generator) -> tuple[str, str | None]:
    """A wording, and where the language's tag goes: `prompt`, `answer`, or nowhere (None)."""
    detects = wordings.detect if record.language else ()
    published = wordings.published if record.language or not wordings.detect else None
    is_published, tag_in_prompt = rng.random() < PUBLISHED_SHARE, rng.random() < TAG_IN_PROMPT_SHARE
    paraphrases = detects + wordings.plain
    drawn = paraphrases[int(rng.integers(len(paraphrases)))]
    wording = published if published and is_published else drawn
    asks_language = bool(wordings.detect) and wording not in wordings.plain
    return wording, ("prompt" if tag_in_prompt else "answer") if asks_language else None


def _ask(wording: str, tag: str | None, record: Labelled) -> tuple[str, str]:
    """The question and the answer as the raw form has them, side by side."""
    if record.target_language is not None:
        wording = wording.replace("{target}", target_name(record.target_language, record.where))
    if tag == "prompt":
        return f"{wording} <|{record.language}|>", record.target
    if tag == "answer":
        return wording, f" <|{record.language}|>{record.target}"
    return wording, f" {record.target}" if record.target else ""


def _key(record: Labelled, task: Task) -> _Key:
    return record.source, task.name, record.language, record.target_language


def _keyed(record: Record) -> tuple[_Key, Labelled] | None:
    return (_key(record, check(record)), record) if isinstance(record, Labelled) else None
