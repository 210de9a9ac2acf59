"""Quality control: manifests in, one manifest of what is good enough out, and a report of what was dropped and why."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from auricle.data.balance import Balance, balanced
from auricle.data.manifest import open_records
from auricle.data.measured import Measured, Watch, measure_all
from auricle.data.modes import kind_of
from auricle.data.quality import objections
from auricle.data.records import Dialogue, Labelled, Record, Recording
from auricle.data.review import Doubt, sheet, tightened
from auricle.data.screen import PrepareSettings, Screen, recordings_of, texts_in
from auricle.data.source import Source
from auricle.data.tasks import task_named
from auricle.data.writing import to_line
from auricle.errors import UserError

__all__ = ["Dropped", "PrepareSettings", "Report", "prepare"]

_NUM_EXAMPLES = 5  # of each reason, in the report


@dataclass(slots=True)
class Dropped:
    """Of one reason: how many records it struck, their hours, and a few by place with what was found."""

    num: int = 0
    hours: float = 0.0
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it; hours count every recording of a record once.

    dropped: by reason. A record that several reasons strike stands under each, so that they add up to more than
    `num_records - num_kept`. kept_by: records by task or kind. balance: what the modes, lengths and complexity of
    the conversations allow; None without any.
    """

    num_records: int
    num_kept: int
    hours: float
    kept_hours: float
    dropped: dict[str, Dropped]
    kept_by: dict[str, int]
    num_to_review: int
    balance: Balance | None

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        shown = {"counts": self.balance.counts, "expected": self.balance.expected} if self.balance else None
        shortfalls = {"shortfalls": list(self.balance.shortfalls)} if self.balance else {}
        plain = {name: getattr(self, name) for name in ("num_records", "num_kept", "hours", "kept_hours")}
        plain |= {"kept_by": self.kept_by, "num_to_review": self.num_to_review}
        plain["dropped"] = {reason: asdict(dropped) for reason, dropped in self.dropped.items()}
        return plain | {"balance": shown and shown | shortfalls}

    def to_text(self) -> str:
        """Lines to print."""
        kept = f"kept {self.num_kept:,} of {self.num_records:,} records, {self.kept_hours:.2f} of {self.hours:.2f} h"
        lines = [kept, *(f"  {name}: {num:,}" for name, num in sorted(self.kept_by.items()))]
        for reason, dropped in sorted(self.dropped.items(), key=lambda item: -item[1].num):
            lines.append(f"dropped for {reason}: {dropped.num:,} records, {dropped.hours:.2f} h")
            lines += [f"  {example}" for example in dropped.examples]
        if self.num_to_review:
            lines.append(f"to hear in the review sheet: {self.num_to_review:,}")
        return "\n".join([*lines, *(self.balance.shortfalls if self.balance else ())])


def prepare(
    paths: Sequence[Path],
    out: Path,
    settings: PrepareSettings | None = None,
    *,
    task: str | None = None,
    num_threads: int | None = None,
    watch: Watch | None = None,
) -> Report:
    """Filter data sets into one manifest.

    Writes `out` (lines of JSON, with measured durations), `out` with the ending `.report.json`, the review sheet where
    one is asked for, each whole or not at all, and beside them `.measured.jsonl`: what was measured so far, so that a
    killed run, or one with other settings, goes on where it was.

    Args:
        paths: as `open_records` takes them; members of tar shards cannot be written and are refused.
        out: the manifest to write.
        settings: None for the defaults.
        task: of labelled recordings whose lines name none.
        num_threads: that decode; None for one per core.
        watch: told how many of how many recordings are measured.

    Raises:
        UserError: nothing to read, a wrong setting, or a file that cannot be written. A bad line is a reason to drop.
    """
    settings = settings or PrepareSettings()
    screen = Screen.read(settings)
    if settings.review is not None:
        sheet([], settings.review)  # refuses a wrong ending before anything is decoded
    if not out.parent.is_dir() or out.is_dir():
        raise UserError(f"cannot write {out}: expected a file's name in a folder that exists; make the folder first")
    records, tally = [], _Tally()
    for path in paths:
        for record in _readable(path, task, tally):
            to_line(record, out.parent)  # refuses, before anything is decoded, what cannot be written
            records.append(record)
    recordings = [part for record in records for part in recordings_of(record)]
    measured = measure_all(recordings, out.with_suffix(".measured.jsonl"), num_threads=num_threads, watch=watch)
    for record in records:
        tally.add(record, screen.objections(record, measured), measured)
    doubts = _doubts(tally.kept, measured, settings) if settings.review else []
    report = tally.report(len(doubts))
    _write(out, "".join(f"{to_line(_timed(record, measured), out.parent)}\n" for record in tally.kept))
    _write(out.with_suffix(".report.json"), json.dumps(report.to_json(), ensure_ascii=False, indent=1) + "\n")
    if settings.review is not None:
        _write(settings.review, sheet(doubts, settings.review))
    return report


def _readable(path: Path, task: str | None, tally: "_Tally") -> Iterator[Record]:
    records = open_records(path, task=task)
    for place in range(len(records)):
        try:
            record = records[place]
        except UserError as error:
            tally.drop("bad line", str(error), 0.0)
        else:
            yield record


class _Tally:
    """Counts while the records go by."""

    def __init__(self) -> None:
        self.kept: list[Record] = []
        self._num, self._hours, self._kept_hours = 0, 0.0, 0.0
        self._dropped: dict[str, Dropped] = {}
        self._kept_by: dict[str, int] = {}
        self._spoken: list[Record] = []  # kept conversations, with their measured lengths

    def drop(self, reason: str, example: str, hours: float) -> None:
        """A record that was never looked at further."""
        self._num += 1
        self._count(reason, example, hours)

    def add(self, record: Record, phrases: Sequence[str], measured: Mapping[Recording, Measured]) -> None:
        """A record with what is wrong with it."""
        hours = sum(_seconds(measured[part]) for part in set(recordings_of(record))) / 3600
        self._num += 1
        self._hours += hours
        struck = dict(phrase.partition(": ")[::2] for phrase in reversed(phrases))  # of a reason the first phrase
        for reason, found in struck.items():
            self._count(reason, f"{record.where}: {found}", hours)
        if not phrases:
            self.kept.append(record)
            self._kept_hours += hours
            name = _name(record)
            self._kept_by[name] = self._kept_by.get(name, 0) + 1
            if isinstance(record, Dialogue):
                self._spoken.append(_timed(record, measured))

    def report(self, num_to_review: int) -> Report:
        """What was counted."""
        balance = balanced([Source("kept", self._spoken, 1.0)]) if self._spoken else None
        return Report(
            self._num,
            len(self.kept),
            self._hours,
            self._kept_hours,
            self._dropped,
            self._kept_by,
            num_to_review,
            balance,
        )

    def _count(self, reason: str, example: str, hours: float) -> None:
        dropped = self._dropped.setdefault(reason, Dropped())
        dropped.num += 1
        dropped.hours += hours
        if len(dropped.examples) < _NUM_EXAMPLES:
            dropped.examples.append(example)


def _name(record: Record) -> str:
    if isinstance(record, Labelled):
        return task_named(record.task).name
    return kind_of(record) if isinstance(record, Dialogue) else "preference"


def _seconds(measured: Measured) -> float:
    return measured.quality.duration_s if measured.quality else 0.0


def _timed(record: Record, measured: Mapping[Recording, Measured]) -> Record:
    """The record with the lengths that its recordings turned out to have."""
    timed = tuple(replace(part, duration_s=round(_seconds(measured[part]), 3)) for part in record.recordings)
    return replace(record, recordings=timed)


def _doubts(kept: Sequence[Record], measured: Mapping[Recording, Measured], settings: PrepareSettings) -> list[Doubt]:
    """Borderline records, then others spread evenly over the data."""
    limits, doubts, clear = tightened(settings.quality), list[Doubt](), list[Record]()
    for record in kept:
        qualities = [measured[part].quality for part in dict.fromkeys(recordings_of(record))]
        phrases = [phrase for quality in qualities if quality for phrase in objections(quality, limits)]
        if phrases:
            doubts.append(_doubt(record, f"borderline: {'; '.join(phrases)}"))
        else:
            clear.append(record)
    num = min(settings.review_sample, len(clear))
    places = np.linspace(0, len(clear), num, endpoint=False, dtype=int)
    return doubts + [_doubt(clear[place], "sample") for place in places]


def _doubt(record: Record, why: str) -> Doubt:
    paths = tuple(part.path for part in recordings_of(record))
    return Doubt(record.id, record.where, why, " / ".join(texts_in(record)), paths)


def _write(path: Path, text: str) -> None:
    """The whole file, or the one that was there before."""
    unfinished = path.with_name(f"{path.name}.part")
    try:
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {error.strerror}; make room or allow writing there") from error
