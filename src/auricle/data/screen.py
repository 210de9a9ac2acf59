"""What is wrong with a record: one phrase for each filter that it does not pass, `reason: what was found`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from auricle.data.leakage import Forbidden, read_forbidden
from auricle.data.measured import Measured
from auricle.data.personal import find_personal
from auricle.data.quality import QualityLimits, objections
from auricle.data.records import Labelled, Preference, Record, Recording
from auricle.data.review import read_list
from auricle.data.tasks import check, task_named
from auricle.data.text_language import language_objection
from auricle.errors import UserError

FILTERS = ("quality", "language", "personal", "duplicates")


@dataclass(frozen=True, slots=True)
class PrepareSettings:
    """The filters.

    quality: what a recording must reach. regions: countries whose national telephone numbers count as personal data.
    reject: a file of ids or places (`file:line`) that the human screen threw out. forbid: test data, as
    `data.leakage.read_forbidden` takes them. review: where a sheet for the human screen is written, `.html` or
    `.tsv`: borderline records, and `review_sample` others drawn evenly. off: filters that are left out.
    """

    quality: QualityLimits = field(default_factory=QualityLimits)
    regions: tuple[str, ...] = ()
    reject: Path | None = None
    forbid: tuple[Path, ...] = ()
    review: Path | None = None
    review_sample: int = 20
    off: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.off:
            if name not in FILTERS:
                raise UserError(f"unknown filter {name!r}: expected some of {', '.join(FILTERS)}, which off leaves out")
        if self.review_sample < 0:
            raise UserError(f"review_sample must not be negative: got {self.review_sample}; 0 asks for none")


@dataclass(frozen=True, slots=True)
class Screen:
    """The filters with their lists; it remembers what it has seen, so that a second copy is a duplicate."""

    settings: PrepareSettings
    rejected: frozenset[str]
    forbidden: Forbidden
    seen: dict[str, str]

    @classmethod
    def read(cls, settings: PrepareSettings) -> "Screen":
        """Read the lists.

        Raises:
            UserError: one cannot be read.
        """
        rejected = read_list(settings.reject) if settings.reject else frozenset[str]()
        return cls(settings, rejected, read_forbidden(settings.forbid), {})

    def objections(self, record: Record, measured: Mapping[Recording, Measured]) -> list[str]:
        """Every phrase that holds; the record passes with none, and is then known as one of its kind."""
        if isinstance(record, Labelled):
            try:
                check(record)
            except UserError as error:
                return [f"bad line: {str(error).removeprefix(f'{record.where}: ')}"]
        found = [*self._of_lists(record), *self._of_sound(record, measured)]
        if "language" not in self.settings.off:
            found += _of_language(record)
        if "personal" not in self.settings.off:
            found += self._of_persons(record)
        if not found and "duplicates" not in self.settings.off:
            key = _content_key(record, measured)
            first = self.seen.setdefault(key, record.where)
            if first != record.where:
                found.append(f"duplicate: as {first}")
        return found

    def _of_lists(self, record: Record) -> Iterator[str]:
        if record.id in self.rejected or record.where in self.rejected:
            yield "rejected by hand: in the reject list"
        forbidden = self.forbidden.objection(record)
        if forbidden is not None:
            yield forbidden

    def _of_sound(self, record: Record, measured: Mapping[Recording, Measured]) -> Iterator[str]:
        for recording in dict.fromkeys(recordings_of(record)):
            quality = measured[recording].quality
            if quality is None:
                yield f"cannot be heard: {measured[recording].error}"
            elif "quality" not in self.settings.off:
                yield from objections(quality, self.settings.quality)

    def _of_persons(self, record: Record) -> Iterator[str]:
        for text in texts_in(record):
            for finding in find_personal(text, regions=self.settings.regions):
                yield f"personal data, {finding.kind}: {_masked(text[finding.start : finding.end])}"


def _of_language(record: Record) -> Iterator[str]:
    """Of a transcript and of a translation; other targets may be in any language."""
    if isinstance(record, Labelled):
        name = task_named(record.task).name
        language = record.language if name == "asr" else record.target_language if name == "translation" else None
        objection = language_objection(record.target, language) if language else None
        if objection is not None:
            yield f"language: {objection}"


def recordings_of(record: Record) -> tuple[Recording, ...]:
    """All that a record has anybody hear."""
    rejected = record.rejected_recordings if isinstance(record, Preference) else None
    return record.recordings + (rejected or ())


def texts_in(record: Record) -> list[str]:
    """All that a record says, in letters."""
    if isinstance(record, Labelled):
        return [record.target]
    texts = [part for message in record.messages for part in message.content if isinstance(part, str)]
    return [*texts, record.chosen, record.rejected] if isinstance(record, Preference) else texts


def _masked(text: str) -> str:
    """Enough to find it by, too little to spread it."""
    return f"{text[:2]}... ({len(text)} characters)"


def _content_key(record: Record, measured: Mapping[Recording, Measured]) -> str:
    """The same sounds with the same texts under the same task, whatever the files are called."""
    task = task_named(record.task).name if isinstance(record, Labelled) else type(record).__name__
    sounds = [measured[recording].sound for recording in recordings_of(record)]
    texts = [" ".join(text.split()) for text in texts_in(record)]
    return sha256(repr((task, sounds, texts)).encode()).hexdigest()
