"""What a data set holds, counted: hours by source, task, language and kind, lengths, speakers, words and turns."""

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from auricle.data.durations import duration_s
from auricle.data.manifest import open_records
from auricle.data.modes import kind_of
from auricle.data.parallel import in_order
from auricle.data.reading import RecordList
from auricle.data.records import Labelled, Preference, Recording
from auricle.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
EDGES_S = (0, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300)  # of the histogram; the last bin has no end
_BAR = 40  # characters of its longest bar


@dataclass(frozen=True, slots=True)
class Stats:
    """Plain numbers.

    num_unreadable: lines that are no record; `auricle data validate` explains them. num_unknown: recordings that state
    no length and cannot be decoded. groups: by what -> value -> (records, hours).
    durations_s and turns: quantile -> of a recording, of a conversation. histogram: (from s, recordings).
    answers: what is learnt to say, in words (between spaces) and characters.
    preferences: mean words of both answers, and how often the chosen one has more.
    """

    num_records: int
    num_unreadable: int
    num_recordings: int
    num_unknown: int
    num_speakers: int
    hours: float
    groups: dict[str, dict[str, tuple[int, float]]]
    durations_s: dict[str, float]
    histogram: tuple[tuple[float, int], ...]
    answers: dict[str, float]
    turns: dict[str, float]
    preferences: dict[str, float]

    def to_table(self) -> "Table":
        """For people: what is counted, records, hours."""
        from rich.table import Table

        table = Table("what", "value", "records", "hours")
        for column in table.columns[2:]:
            column.justify = "right"
        table.add_row("all", "", f"{self.num_records:,}", f"{self.hours:,.3f}", end_section=True)
        for by, values in self.groups.items():
            for value, (records, hours) in values.items():
                table.add_row(by, value, f"{records:,}", f"{hours:,.3f}", end_section=value == list(values)[-1])
        return table

    def to_lines(self) -> list[str]:
        """For people: everything that is no table, a line each, and the histogram of durations."""
        counts = f"{self.num_recordings:,} recordings, {self.num_speakers:,} speakers"
        if self.num_unknown:
            counts += f", {self.num_unknown:,} of unknown length"
        lines = [counts]
        for name, values in (
            ("seconds", self.durations_s),
            ("turns", self.turns),
            ("answers", self.answers),
            ("preferences", self.preferences),
        ):
            if values:
                lines.append(f"{name}: " + ", ".join(f"{key} {_number(value)}" for key, value in values.items()))
        most = max((number for _, number in self.histogram), default=0)
        for (start_s, number), end in zip(self.histogram, [*EDGES_S[1:], None], strict=False):
            span = f"{start_s:g} to {end} s" if end else f"over {start_s:g} s"
            lines.append(f"{span:>12} {'#' * -(-number * _BAR // max(most, 1))} {number:,}".rstrip())
        if self.num_unreadable:
            lines.append(f"{self.num_unreadable:,} lines cannot be read: auricle data validate explains them")
        return lines


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is counted of one record; a length is None where nobody knows it."""

    groups: dict[str, str]
    lengths_s: tuple[float | None, ...]
    speaker: str | None
    answers: tuple[str, ...]
    num_turns: int | None = None
    pair: tuple[str, str] | None = None


def collect(
    paths: Sequence[Path], *, task: str | None = None, watch: Callable[[int, int], None] = lambda done, total: None
) -> Stats:
    """Count the records of data sets; a recording of which no line states a length is asked itself.

    Args:
        paths: as `open_records` takes them.
        task: of labelled recordings whose lines name none.
        watch: told how many records of how many are counted.

    Raises:
        UserError: a data set cannot be opened.
    """
    data = [open_records(path, task=task) for path in paths]
    total, tally = sum(map(len, data)), _Tally()
    for records in data:
        for facts in in_order(partial(_facts, records), len(records)):
            tally.add(facts)
            watch(tally.num_records + tally.num_unreadable, total)
    return tally.stats()


class _Tally:
    """Counts that grow with each record; of a recording only its length is kept."""

    def __init__(self) -> None:
        self.num_records = self.num_unreadable = self.num_unknown = 0
        self._lengths_s, self._turns = array("d"), array("q")
        self._groups: dict[str, dict[str, tuple[int, float]]] = {}
        self._speakers: set[str] = set()
        self._answers: Counter[str] = Counter()
        self._pairs: Counter[str] = Counter()

    def add(self, facts: _Facts | None) -> None:
        """None: a line that is no record."""
        if facts is None:
            self.num_unreadable += 1
            return
        self.num_records += 1
        known = [length_s for length_s in facts.lengths_s if length_s is not None]
        self._lengths_s.extend(known)
        self.num_unknown += len(facts.lengths_s) - len(known)
        for by, value in facts.groups.items():
            records, hours = self._groups.setdefault(by, {}).get(value, (0, 0.0))
            self._groups[by][value] = (records + 1, hours + sum(known) / 3600)
        if facts.speaker is not None:
            self._speakers.add(facts.speaker)
        for text in facts.answers:
            words = len(text.split())
            self._answers.update(answers=1, words=words, characters=len(text), empty=int(not words))
        if facts.num_turns is not None:
            self._turns.append(facts.num_turns)
        if facts.pair is not None:
            chosen, rejected = (len(text.split()) for text in facts.pair)
            self._pairs.update(pairs=1, chosen=chosen, rejected=rejected, longer=int(chosen > rejected))

    def stats(self) -> Stats:
        """What was counted so far."""
        lengths_s = np.frombuffer(self._lengths_s) if self._lengths_s else np.zeros(0)
        counts, _ = np.histogram(lengths_s, [*EDGES_S, np.inf])
        means = {"chosen": "chosen words", "rejected": "rejected words", "longer": "chosen longer"}
        return Stats(
            num_records=self.num_records,
            num_unreadable=self.num_unreadable,
            num_recordings=len(lengths_s) + self.num_unknown,
            num_unknown=self.num_unknown,
            num_speakers=len(self._speakers),
            hours=float(lengths_s.sum()) / 3600,
            groups={by: dict(sorted(values.items())) for by, values in self._groups.items()},
            durations_s=_quantiles(lengths_s),
            histogram=tuple(zip(map(float, EDGES_S), counts.tolist(), strict=True)),
            answers={key: float(value) for key, value in self._answers.items()},
            turns=_quantiles(np.array(self._turns)),
            preferences={name: self._pairs[key] / self._pairs["pairs"] for key, name in means.items() if self._pairs},
        )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def _quantiles(values: np.ndarray) -> dict[str, float]:
    if not len(values):
        return {}
    found = np.quantile(values, QUANTILES).tolist()
    return {f"{quantile:.0%}": value for quantile, value in zip(QUANTILES, found, strict=True)}


def _facts(records: RecordList, index: int) -> _Facts | None:
    try:
        record = records[index]
    except UserError:
        return None
    lengths_s = tuple(map(_length_s, record.recordings))
    if isinstance(record, Labelled):
        groups = {"task": record.task, "language": record.language or "unknown", "kind": "labelled"}
        return _Facts({"source": record.source} | groups, lengths_s, record.speaker, (record.target,))
    num_turns = sum(message.role != "system" for message in record.messages)
    if isinstance(record, Preference):
        groups = {"kind": "preference", "dimension": record.dimension or "unknown"}
        pair = (record.chosen, record.rejected)
        return _Facts({"source": record.source} | groups, lengths_s, None, pair[:1], num_turns + 1, pair)
    answers = [message.content for message in record.messages if message.role == "assistant"]
    texts = tuple("".join(part for part in content if isinstance(part, str)) for content in answers)
    return _Facts({"source": record.source, "kind": kind_of(record)}, lengths_s, None, texts, num_turns)


def _length_s(recording: Recording) -> float | None:
    if recording.duration_s is not None:
        return recording.duration_s
    try:
        return duration_s(recording)
    except UserError:
        return None
