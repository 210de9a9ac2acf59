"""Lists of samples as lines of JSON: the official lists as they are published, and our own, which hold more.

A line of the published evaluation has the keys `audio`, `source`, `prompt` and `gt`; of its chats `id`, `audio` and
`query`, in which the recording's place stands. Ours add `id`, `dataset`, `task`, `language`, `target_language`,
`speaker`, `duration_s`, `labels` and `details`, so that scripts for the official lists read them too. A line with both
`dataset` and `task` is taken as it says; of others, names tell the rest (`evaluate.official_names`).
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from auricle.data.reading import read_bytes, text_of
from auricle.errors import UserError
from auricle.evaluate.list_lines import Fields, audio_of, says_all, to_line, to_sample
from auricle.evaluate.recordings import locate
from auricle.evaluate.sample import LABEL_TASKS, Sample
from auricle.evaluate.whole_file import write_whole


def read_samples(path: Path, *, audio_root: Path | None = None, dataset: str | None = None) -> list[Sample]:
    """The samples of a list, in its order.

    Args:
        path: an official list or one of `write_samples`; a known name (`cv15_asr_en_eval.jsonl`) tells the data set.
        audio_root: recordings that are not where the list says are looked for under it, see `recordings.locate`.
            Without it, paths are taken as they are and not looked for; relative ones mean the working directory.
        dataset: of lines that do not name theirs, where the file's name does not tell it.

    Raises:
        UserError: the list cannot be read, a line is not of the form, nothing tells its task, or recordings are
            missing.
    """
    lines = list(_lines(path))
    audios = locate([audio_of(fields, where) for where, fields in lines], audio_root, path)
    samples = [
        to_sample(fields, where, audio, list_name=path.stem, dataset=dataset)
        for (where, fields), audio in zip(lines, audios, strict=True)
    ]
    return _with_labels(_with_own_ids(samples), [not says_all(fields) for _, fields in lines])


def write_samples(samples: Sequence[Sample], path: Path) -> None:
    """One line for each, which `read_samples` reads back equal; the file is there whole, or as it was before.

    Raises:
        UserError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, "".join(f"{to_line(sample)}\n" for sample in samples))
    except OSError as error:
        raise UserError(f"cannot write the list {path}: {error.strerror}; make room or allow writing there") from error


def _lines(path: Path) -> Iterator[tuple[str, Fields]]:
    """Where each line stands, and what it says."""
    empty = True
    for number, line in enumerate(text_of(read_bytes(path), str(path)).split("\n"), start=1):
        if line.strip():
            empty = False
            try:
                fields = json.loads(line)
            except (ValueError, RecursionError):
                fields = None
            if not isinstance(fields, dict):
                raise UserError(
                    f"{path}:{number} is no JSON object; expected `audio`, `source`, `prompt` and `gt`, or `id`, "
                    "`audio` and `query`, on each line"
                )
            yield f"{path}:{number}", fields
    if empty:
        raise UserError(f"the list {path} holds no line; expected one sample on each")


def _with_own_ids(samples: Sequence[Sample]) -> list[Sample]:
    """Ids unique within a source: the second `x` becomes `x#2`."""
    taken = {(sample.source, sample.id) for sample in samples}
    seen: Counter[tuple[str, str]] = Counter()
    renamed = []
    for sample in samples:
        key, name = (sample.source, sample.id), sample.id
        seen[key] += 1
        if seen[key] > 1:
            while (sample.source, name := f"{sample.id}#{seen[key]}") in taken:
                seen[key] += 1
            taken.add((sample.source, name))
        renamed.append(sample if name == sample.id else replace(sample, id=name))
    return renamed


def _with_labels(samples: Sequence[Sample], is_guessed: Sequence[bool]) -> list[Sample]:
    """Where official lines ask for one of a closed list, that list: all right answers of the data set."""
    known: dict[str, set[str]] = {}
    for sample in samples:
        known.setdefault(sample.dataset, set()).add(sample.reference)
    return [
        replace(sample, labels=tuple(sorted(known[sample.dataset])))
        if guessed and sample.task in LABEL_TASKS and not sample.labels
        else sample
        for sample, guessed in zip(samples, is_guessed, strict=True)
    ]
