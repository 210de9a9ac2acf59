"""What is wrong with data, all of it, before a model is built: every line is read, every recording decoded."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from auricle import units
from auricle.audio.load import blocks
from auricle.data.manifest import open_records
from auricle.data.parallel import in_order
from auricle.data.reading import RecordList, read_bytes
from auricle.data.records import Preference, Record, Recording
from auricle.errors import UserError

SILENT_PEAK = 1e-3  # -60 dB of full scale: nothing that anyone hears
_RELATIVE, _ABSOLUTE_S = 0.05, 0.1  # how far a stated duration may be off
_MINUTE_S = 60  # less is shown in seconds
_KNOWN = 4096  # recordings that are decoded once although several lines name them


@dataclass(frozen=True, slots=True)
class Heard:
    """A recording's length and what is wrong with it, if anything."""

    duration_s: float
    problem: str | None = None


Check = Callable[[Recording], Heard]


@dataclass(frozen=True, slots=True)
class Problem:
    """where: file and line, shard and sample, or recording. what: is wrong, and what was expected."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, slots=True)
class Examined:
    """One record: its recordings, their seconds, and what is wrong with it."""

    num_recordings: int
    audio_s: float
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class Report:
    """How far a validation is, and what it found; `problems` holds the first `max_shown` of `num_problems`."""

    total: int
    max_shown: int
    num_records: int = 0
    num_recordings: int = 0
    audio_s: float = 0.0
    num_problems: int = 0
    problems: list[Problem] = field(default_factory=list)

    def add(self, examined: Examined) -> None:
        """Count one more record."""
        self.num_records += 1
        self.num_recordings += examined.num_recordings
        self.audio_s += examined.audio_s
        self.num_problems += len(examined.problems)
        self.problems += examined.problems[: max(self.max_shown - len(self.problems), 0)]

    def to_text(self) -> str:
        """For people: a line for each problem, and one that sums up."""
        done = f"{self.num_records:,}" if self.num_records == self.total else f"{self.num_records:,} of {self.total:,}"
        length = f"{self.audio_s / 3600:,.2f} h" if self.audio_s >= _MINUTE_S else f"{self.audio_s:.1f} s"
        counts = f"{done} records, {self.num_recordings:,} recordings, {length}: {self.num_problems:,} problems"
        hidden = self.num_problems - len(self.problems)
        more = [f"... and {hidden:,} more"] if hidden else []
        return "\n".join([*map(str, self.problems), *more, counts])

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "records": self.num_records,
            "recordings": self.num_recordings,
            "audio_s": round(self.audio_s, 3),
            "num_problems": self.num_problems,
            "problems": [{"where": problem.where, "what": problem.what} for problem in self.problems],
        }


def validate(paths: Sequence[Path], *, task: str | None = None, max_shown: int = 100) -> Iterator[Report]:
    """The same report after each record of all data sets, so that whoever stops has what was found so far.

    Args:
        paths: as `open_records` takes them.
        task: of labelled recordings whose lines name none.
        max_shown: how many problems are kept; all are counted.

    Raises:
        UserError: a data set cannot be opened.
    """
    data = [open_records(path, task=task) for path in paths]
    report = Report(sum(map(len, data)), max_shown)
    for records in data:
        for examined in examine(records):
            report.add(examined)
            yield report


def problems(records: RecordList, check: Check | None = None) -> Iterator[Problem]:
    """What is wrong with the records, in their order; `check` is `decoded` unless `present` is enough."""
    for examined in examine(records, check):
        yield from examined.problems


def examine(records: RecordList, check: Check | None = None) -> Iterator[Examined]:
    """Every record, in order; several at once in threads."""
    with _damage() as damage:
        known = lru_cache(maxsize=_KNOWN)(check or damage.decoded)
        yield from in_order(lambda index: _examine(records, index, known), len(records))


def present(recording: Recording) -> Heard:
    """Whether the file is there, undecoded; the length as it is stated, or 0."""
    stated_s = recording.duration_s or 0.0
    if recording.path.is_file():
        return Heard(stated_s)
    return Heard(stated_s, f"no such file: {recording.path}; check the path")


def decoded(recording: Recording) -> Heard:
    """Decode it: whether it can be heard, is not silent, and lasts as long as is stated."""
    num_samples, peak = 0, 0.0
    try:
        for samples in blocks(_source(recording)):
            num_samples += len(samples)
            peak = max(peak, float(np.abs(samples).max(initial=0.0)))
    except UserError as error:
        return Heard(num_samples / units.SAMPLE_RATE, str(error))
    duration_s, stated_s = num_samples / units.SAMPLE_RATE, recording.duration_s
    problem, name = None, _name(recording)
    if peak < SILENT_PEAK:
        problem = f"{name} is silent: got a peak of {peak:.2g}, expected {SILENT_PEAK} of full scale or more"
    elif stated_s is not None and abs(stated_s - duration_s) > _RELATIVE * duration_s + _ABSOLUTE_S:
        problem = f"{name} lasts {duration_s:.2f} s, but {stated_s:g} s are stated; expected the same within 5 %"
    return Heard(duration_s, problem)


def _examine(records: RecordList, index: int, check: Check) -> Examined:
    where = records.where(index)
    try:
        recordings = _recordings(records[index])
    except UserError as error:
        return Examined(0, 0.0, (Problem(where, str(error).removeprefix(f"{where}: ")),))
    heard = [check(recording) for recording in recordings]
    found = tuple(Problem(where, one.problem) for one in heard if one.problem is not None)
    return Examined(len(recordings), sum(one.duration_s for one in heard), found)


def _recordings(record: Record) -> tuple[Recording, ...]:
    others = record.rejected_recordings if isinstance(record, Preference) else None
    return record.recordings + (others or ())


def _source(recording: Recording) -> Path | bytes:
    if recording.offset is None:
        return recording.path
    return read_bytes(recording.path, recording.offset, recording.num_bytes or 0)


def _name(recording: Recording) -> str:
    return "the recording" if recording.offset is not None else str(recording.path)


class _Damage(logging.Handler):
    """What decoding warns of, by the thread that decodes: a damaged recording is one more problem."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._heard = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        self._heard.message = record.getMessage()

    def decoded(self, recording: Recording) -> Heard:
        """As the function of this name."""
        self._heard.message = None
        heard = decoded(recording)
        warning = self._heard.message
        return heard if warning is None else Heard(heard.duration_s, f"{warning}; expected a whole file, copy it again")


@contextmanager
def _damage() -> Iterator[_Damage]:
    logger, handler = logging.getLogger("auricle.audio.decode"), _Damage()
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
