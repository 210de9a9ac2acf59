"""What a scoring mode makes of a reference and of an answer before they are compared."""

from dataclasses import dataclass
from typing import Literal, Protocol

from auricle.evaluate.sample import Sample

ModeName = Literal["official", "strict"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A reference and an answer in the units that are compared: words, or characters where the mode says so."""

    reference: tuple[str, ...]
    answer: tuple[str, ...]


class Mode(Protocol):
    """One way to score. The sentences of `reasons` say what it does and why, for the report."""

    name: ModeName
    reasons: tuple[str, ...]

    def words(self, sample: Sample, answer: str) -> Pair:
        """Both sides of a transcription."""
        ...

    def translation(self, sample: Sample, answer: str) -> tuple[str, str]:
        """Reference and answer of a translation, as sacreBLEU gets them."""
        ...

    def label(self, sample: Sample, answer: str) -> str | None:
        """Which of the labels the answer is; None where it is none of them (it then counts as wrong)."""
        ...
