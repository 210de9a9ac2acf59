"""The samples that are asked for: by data set, by row of the published table, by source, or by a list."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from auricle.errors import UserError
from auricle.evaluate.datasets import debian_speech
from auricle.evaluate.download import Watch, data_home
from auricle.evaluate.lists import read_samples, write_samples
from auricle.evaluate.published import ROWS
from auricle.evaluate.rows import row_remarks, rows_for
from auricle.evaluate.sample import Sample
from auricle.evaluate.whole_file import write_whole
from auricle.settings import nearest

LIST_NAME = "eval.jsonl"
DATASETS = (debian_speech.DATASET, *dict.fromkeys(row.dataset for row in ROWS))
_SOURCES = {row.name: (row.dataset, row.sources) for row in ROWS} | {
    source: (row.dataset, (source,)) for row in ROWS for source in row.sources
}


def find_samples(
    tasks: Sequence[str],
    *,
    list_file: Path | None = None,
    audio_root: Path | None = None,
    data: Path | None = None,
    watch: Watch | None = None,
) -> list[Sample]:
    """The samples of tasks, each once, in the order of their lists.

    Args:
        tasks: a data set (`librispeech`), a row or a source of the published table (`librispeech_test_clean`), a glob
            over the sources of a data set (`debian-speech/asterisk_*`), or a list (`librispeech_eval.jsonl`).
        list_file: read instead of the data sets' own lists; without tasks all of it is asked for.
        audio_root: where the recordings of lists lie.
        data: holds a folder for each data set; `data_home()` unless given.
        watch: told how many bytes of a data set that is fetched are there.

    Raises:
        UserError: no such task, a data set that is not there, a list that cannot be read, nothing left to ask, or a
            source with samples of two tasks.
    """
    if not tasks and list_file is None:
        raise UserError(f"nothing to evaluate; name a data set, such as {debian_speech.DATASET}, or a list with --list")
    found = []
    for task in tasks or ("*",):
        samples, pattern = _list_of(task, list_file, audio_root, data.absolute() if data else data_home(), watch)
        chosen = [sample for sample in samples if _fits(sample, pattern)]
        if not chosen:
            sources = ", ".join(dict.fromkeys(sample.source for sample in samples))
            raise UserError(f"{task} is no part of what is there: got {sources}; name some of these sources")
        found += chosen
    unique = _each_once(found)
    _require_one_task_each(unique)
    return unique


def limited(samples: Sequence[Sample], limit: int) -> list[Sample]:
    """At most `limit` of each source, by the order of sha256 of their ids: spread over the source, always the same,
    and a larger limit's contain a smaller one's.

    Raises:
        UserError: the limit is below 1.
    """
    if limit < 1:
        raise UserError(f"limit must be at least 1: got {limit}; leave it out to ask for all")
    taken = Counter[str]()
    chosen = set()
    for sample in sorted(samples, key=_place):
        taken[sample.source] += 1
        if taken[sample.source] <= limit:
            chosen.add((sample.source, sample.id))
    return [sample for sample in samples if (sample.source, sample.id) in chosen]


def _place(sample: Sample) -> bytes:
    return hashlib.sha256(sample.id.encode("utf-8", "surrogatepass")).digest()


def count_remarks(samples: Sequence[Sample]) -> list[str]:
    """One sentence for each row of the published table that these samples, before any limit, are not all of."""
    told = []
    for row in rows_for(samples):
        remarks = row_remarks(row, [sample for sample in samples if sample.source in row.sources], limit=None)
        if remarks:
            told.append(f"{row.name}: {'; '.join(remarks)}")
    return told


def write_list(dataset: str, samples: Sequence[Sample], path: Path) -> None:
    """A data set's list; the offline benchmark's with the version that made it beside it, as `eval.version`.

    Raises:
        UserError: it cannot be written.
    """
    write_samples(samples, path)
    if dataset == debian_speech.DATASET:
        try:
            write_whole(_version_path(path), debian_speech.version())
        except OSError as error:
            raise UserError(f"cannot write {_version_path(path)}: {error.strerror}; make room there") from error


def _version_path(path: Path) -> Path:
    return path.with_suffix(".version")


def _is_current(name: str, path: Path) -> bool:
    """Whether a list is there, and the offline benchmark's is what this version makes of its packages."""
    if name != debian_speech.DATASET or not path.exists():
        return path.exists()
    version = _version_path(path)
    return version.is_file() and version.read_bytes() == debian_speech.version().encode()


def _list_of(
    task: str, list_file: Path | None, audio_root: Path | None, home: Path, watch: Watch | None
) -> tuple[list[Sample], tuple[str, ...]]:
    """The list that a task is in, and the patterns of its sources that are meant."""
    if list_file is None and task.endswith(".jsonl"):
        return read_samples(Path(task), audio_root=audio_root), ("*",)
    if list_file is None and audio_root is not None:
        raise UserError(f"--audio-root is for a list, but {task} is a data set; add --list FILE, or leave it out")
    name, slash, pattern = task.partition("/")
    if list_file is not None:
        dataset = name if name in DATASETS else None
        patterns = (pattern,) if slash else ("*",) if dataset else _SOURCES.get(task, ("", (task,)))[1]
        return read_samples(list_file, audio_root=audio_root, dataset=dataset), patterns
    if name in DATASETS or (home / name / LIST_NAME).exists():
        return _read(name, home, watch), (pattern or "*",)
    if task in _SOURCES:
        name, sources = _SOURCES[task]
        return _read(name, home, watch), sources
    near = nearest([*DATASETS, *_SOURCES], task)
    hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(DATASETS)}, or a .jsonl list"
    raise UserError(f"unknown task {task!r}; {hint}")


def _read(name: str, home: Path, watch: Watch | None) -> list[Sample]:
    """A data set's own list; the offline benchmark is fetched, and its list made, where it is not there yet or old."""
    path = home / name / LIST_NAME
    if not _is_current(name, path):
        if name != debian_speech.DATASET:
            raise UserError(
                f"no {name} in {home}; get it with `auricle data download {name}`, make it of the publisher's files "
                f"with `auricle data prepare {name} --from DIR`, or give the official list with --list and --audio-root"
            )
        debian_speech.download(path.parent, watch)
        write_list(name, debian_speech.read(path.parent), path)
    return [replace(sample, audio=path.parent / sample.audio) for sample in read_samples(path)]


def _fits(sample: Sample, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(sample.source, pattern) for pattern in patterns)


def _require_one_task_each(samples: Sequence[Sample]) -> None:
    """A source is scored by one metric, its task's."""
    tasks: dict[str, str] = {}
    for sample in samples:
        if tasks.setdefault(sample.source, sample.task) != sample.task:
            raise UserError(
                f"{sample.source} holds samples of two tasks, {tasks[sample.source]} and {sample.task}; a source is "
                "scored by one metric: give each task a `source` of its own in the list"
            )


def _each_once(samples: Sequence[Sample]) -> list[Sample]:
    """Tasks may overlap; paths are made whole, so that a run folder may be read from anywhere."""
    found: dict[tuple[str, str], Sample] = {}
    for sample in samples:
        sample = replace(sample, audio=sample.audio.absolute())
        known = found.setdefault((sample.source, sample.id), sample)
        if known != sample:
            raise UserError(
                f"two samples of {sample.source} are called {sample.id}: {known.audio} and {sample.audio}; evaluate "
                "their lists apart"
            )
    return list(found.values())
