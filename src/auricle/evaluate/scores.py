"""What scoring finds and reports show: figures by row and mode, single answers, slices, comparisons."""

from dataclasses import dataclass

from auricle.evaluate.normalise.interface import ModeName, Pair
from auricle.evaluate.sample import Answered
from auricle.metrics.counts import Interval


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a row: `wer`, `cer`, `bleu`, `chrf`, `accuracy`, `macro_f1`, `judge`.

    Rates are fractions (0.157 is 15.7 %), BLEU, chrF and the judge's score as usual. primary: the one the row is
    known by.
    """

    name: str
    interval: Interval
    primary: bool = False


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a row: `by` is source, duration, snr or speaker; `part` such as `5 to 10 s`."""

    by: str
    part: str
    num_samples: int
    figure: Figure


@dataclass(frozen=True, slots=True)
class Comparison:
    """A row against the same row of another run, on the samples that both have.

    difference: ours minus theirs, with its interval. p_value: two-sided.
    """

    other: str
    figure: str
    num_samples: int
    difference: Interval
    p_value: float


@dataclass(frozen=True, slots=True)
class Scored:
    """One answer with what the mode made of it. error: 0 is right; edits / reference words, or 1 for a wrong label.

    flags: `empty`, `runaway`, `cut off`, `unparsed`, `failed`.
    """

    answered: Answered
    pair: Pair
    error: float
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RowScores:
    """All there is to say about one row in one mode.

    counts: `substitutions`, `insertions`, `deletions`, `reference_words`, `empty`, `runaway`, `cut_off`, `unparsed`,
    `failed`, as far as they apply. confusions: (right label, answer) -> how often. clusters: `speaker` or `utterance`,
    what the intervals resample. remarks: whatever a reader must know (a count unlike the published, one speaker only).
    num_missing: samples of the row that were asked for and have no answer yet (of a judge: no judgement).
    """

    row: str
    mode: ModeName
    num_samples: int
    audio_s: float
    figures: tuple[Figure, ...]
    counts: tuple[tuple[str, int], ...]
    clusters: str
    slices: tuple[Slice, ...] = ()
    confusions: tuple[tuple[str, str, int], ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    remarks: tuple[str, ...] = ()
    answers: tuple[Scored, ...] = ()
    num_missing: int = 0

    @property
    def primary(self) -> Figure:
        """The figure that the row is known by."""
        return next(figure for figure in self.figures if figure.primary)
