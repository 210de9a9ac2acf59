"""A run on disk: what was asked with what, every answer, and what could not be heard."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from auricle.content_cache import ContentCache
from auricle.conversation import Sampling
from auricle.errors import UserError
from auricle.evaluate.lists import read_samples, write_samples
from auricle.evaluate.run_info import RunInfo
from auricle.evaluate.sample import Answered, Sample
from auricle.evaluate.whole_file import write_whole
from auricle.settings import changed, differences, to_tree

_DECIDING = ["model_hash", "engine", "dtype", "sampling", "prompt_form"]  # a folder holds one of each
_NO_INFO = RunInfo("", "", "", "", "raw", Sampling(), None, (), "", "")


class RunFolder:
    """A folder of `auricle eval run`.

    run.json: the `RunInfo`. samples.jsonl: what is asked. keys.json: for each of them, in their order, the key of its
    answer, null where the recording could not be read; and the digest of the questions that these are the keys of.
    answers.sqlite: the answers by key. failures.json: why a sample has none, of the last session.

    Args:
        path: of the folder.

    Raises:
        UserError: it holds no run, or a damaged one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not (path / "run.json").exists():
            raise UserError(
                f"{path} holds no run: no run.json in it; make one with `auricle eval run TASK --out {path}`"
            )
        self.info: RunInfo = changed(_NO_INFO, _read_json(path / "run.json"), str(path / "run.json"))
        self.samples: list[Sample] = read_samples(path / "samples.jsonl")
        self.keys = _read_keys(path, self.samples)

    @property
    def answers(self) -> Path:
        """The cache of answers."""
        return self.path / "answers.sqlite"

    def answered(self) -> list[Answered]:
        """The samples that have an answer, or a failure, in the order of `samples`; the others are missing."""
        kept = self._kept()
        failures = self._failures()
        found = []
        for sample, key in zip(self.samples, self.keys, strict=True):
            if key in kept:
                found.append(_from_json(sample, kept[key]))
            elif (why := failures.get(_name(sample))) is not None:
                found.append(Answered(sample, "", failure=why))
        return found

    @property
    def num_missing(self) -> int:
        """How many samples were not asked yet."""
        return len(self.samples) - len(self.answered())

    def unanswered(self) -> dict[str, Sample]:
        """What is to be asked, by key: the first sample of each recording and prompt that has no answer yet."""
        kept, found = self._kept(), dict[str, Sample]()
        for sample, key in zip(self.samples, self.keys, strict=True):
            if key is not None and key not in kept:
                found.setdefault(key, sample)
        return found

    def note(self, info: RunInfo) -> None:
        """Write what has become of the run."""
        self.info = info
        _write(self.path / "run.json", _to_json(to_tree(info)))

    def fail(self, failures: Mapping[tuple[str, str], str]) -> None:
        """Write why samples, by source and id, have no answer; it takes the place of what an earlier session wrote."""
        rows = [[*name, why] for name, why in failures.items()]
        _write(self.path / "failures.json", _to_json(rows))

    def _kept(self) -> dict[str, str]:
        cache = ContentCache(self.answers)
        try:
            return cache.get(key for key in self.keys if key is not None)
        finally:
            cache.close()

    def _failures(self) -> dict[tuple[str, str], str]:
        path = self.path / "failures.json"
        return {(source, id_): why for source, id_, why in _read_json(path)} if path.exists() else {}


def begin(path: Path, info: RunInfo, samples: Sequence[Sample], keys: Sequence[str | None]) -> RunFolder:
    """A new run's folder, or an old one's where the settings are the same and the samples the same or more.

    A run that never had an answer is no run yet: a mistyped start binds nobody.

    Raises:
        UserError: the folder holds another run, or cannot be written.
    """
    if (path / "run.json").exists() and _num_answers(path / "answers.sqlite"):
        info = _continued(path, info, samples)
    _write(path / "keys.json", _to_json({"questions": _digest(samples), "keys": list(keys)}))
    write_samples(samples, path / "samples.jsonl")
    _write(path / "run.json", _to_json(to_tree(info)))
    return RunFolder(path)


def _continued(path: Path, info: RunInfo, samples: Sequence[Sample]) -> RunInfo:
    """The earlier sessions' account, with what is new in this one."""
    before: RunInfo = changed(_NO_INFO, _read_json(path / "run.json"), str(path / "run.json"))
    one, other = to_tree(before), to_tree(info)
    deciding = _DECIDING[:-1] if "auto" in (before.prompt_form, info.prompt_form) else _DECIDING
    other_settings = [key for key in differences(one, other) if key.partition(".")[0] in deciding]
    if other_settings:
        told = "; ".join(f"{key} was {_at(one, key)}, is {_at(other, key)}" for key in other_settings)
        raise UserError(
            f"{path} holds a run with other settings: {told}; keep them to go on with it, or name another --out"
        )
    asked = {_name(sample) for sample in samples}
    left = [_name(sample) for sample in read_samples(path / "samples.jsonl") if _name(sample) not in asked]
    if left:
        raise UserError(
            f"{path} holds a run of other samples: {len(left)} of its own are not asked for now, such as {left[0][1]} "
            f"of {left[0][0]}; ask for the same or for more to go on with it, or name another --out"
        )
    remarks = dict.fromkeys([*before.remarks, *info.remarks])
    if (before.versions, before.machine) != (info.versions, info.machine):
        changes = dict(info.versions).items() - dict(before.versions).items()
        where = "" if info.machine == before.machine else f" on {info.machine}"
        what = f" with {', '.join(f'{name} {number}' for name, number in sorted(changes))}" if changes else ""
        remarks[f"Went on {info.started}{where}{what}."] = None
    return dataclasses.replace(
        before,
        model=info.model,
        prompt_form=info.prompt_form,
        limit=info.limit,
        remarks=tuple(remarks),
        conventions=_by_source([*before.conventions, *info.conventions]),
    )


def _by_source(conventions: Sequence[tuple[str, bool, bool]]) -> tuple[tuple[str, bool, bool], ...]:
    """One for each source, the last; a run only grows, and so does what its conventions were learnt from."""
    return tuple({one[0]: one for one in conventions}.values())


def _num_answers(path: Path) -> int:
    if not path.exists():
        return 0
    cache = ContentCache(path)
    try:
        return len(cache)
    finally:
        cache.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep a folder to this process; a process that ends, however it ends, lets go of it.

    Raises:
        UserError: another process has it, or it cannot be written.
    """
    import fcntl

    with _writing(path):
        path.mkdir(parents=True, exist_ok=True)
        file = (path / ".lock").open("a+")
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise UserError(
                f"{path} is in use by another run (process {file.read().strip()}); wait for it, or name another --out"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _name(sample: Sample) -> tuple[str, str]:
    return sample.source, sample.id


def _digest(samples: Sequence[Sample]) -> str:
    """Of what is asked, in its order: a key beside another question would give it another's answer."""
    facts = [(*_name(one), one.task, one.prompt, one.language or None, one.target_language or None) for one in samples]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _read_keys(path: Path, samples: Sequence[Sample]) -> list[str | None]:
    """Of these samples. A kill between the two files leaves keys of others; a list alone is what was written once."""
    found = _read_json(path / "keys.json")
    if not isinstance(found, dict):
        found = {"questions": _digest(samples), "keys": found}
    keys = found.get("keys")
    if not isinstance(keys, list) or len(keys) != len(samples) or found.get("questions") != _digest(samples):
        raise UserError(
            f"{path} is damaged: its keys.json is not of its {len(samples)} samples; start its `auricle eval run` "
            "again, the answers are kept"
        )
    return keys


def _from_json(sample: Sample, kept: str) -> Answered:
    said = json.loads(kept)
    if sample.duration_s is None:
        sample = dataclasses.replace(sample, duration_s=said["duration_s"])
    return Answered(sample, said["text"], said["num_tokens"], said["finish_reason"])


def _at(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def _to_json(tree: Any) -> str:
    return json.dumps(tree, indent=2) + "\n"  # ASCII: a path may hold bytes that are no UTF-8


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; start its `auricle eval run` again") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}; start its `auricle eval run` again, or name another") from error


def _write(path: Path, text: str) -> None:
    with _writing(path):
        write_whole(path, text)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; the answers so far are kept: make room and start the same command "
            "again"
        ) from error
