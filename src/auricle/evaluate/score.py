"""Answers into scores: every row in every mode, with intervals, slices and a comparison with another run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import nan
from pathlib import Path

from auricle.evaluate.counted import Counted, CountedRow, by_character, count
from auricle.evaluate.flags import FLAGS, Flag, count_name, flags_of
from auricle.evaluate.judged_file import Judgement
from auricle.evaluate.normalise import Conventions, open_mode
from auricle.evaluate.normalise.interface import Mode, ModeName
from auricle.evaluate.published import Metric, Row
from auricle.evaluate.rows import row_remarks, rows_for
from auricle.evaluate.sample import Answered, Sample
from auricle.evaluate.scores import Comparison, Figure, RowScores, Scored, Slice
from auricle.evaluate.slices import slices_of
from auricle.metrics import Interval, interval, paired

MODES: tuple[ModeName, ...] = ("official", "strict")
_SECOND: dict[Metric, tuple[str, ...]] = {"wer": ("cer",), "bleu": ("chrf",), "accuracy": ("macro_f1",)}
_UNPARSED = "(unparsed)"
FEW = 5  # speakers or utterances; under that many, a bootstrap has hardly any different resamples


@dataclass(frozen=True, slots=True)
class Other:
    """Another run to compare with. name: as the report calls it; answered: its answers; judgement: of its chats."""

    name: str
    answered: Sequence[Answered]
    judgement: Judgement | None = None


@dataclass(frozen=True, slots=True)
class Beside:
    """What scoring takes into account beside the answers.

    snr_db: by recording, as far as measured. limit: of the run, for remarks. other: a run to compare with. asked: every
    sample of the run, answered or not; none means that all are answered. conventions: of whole sources, for strict.
    """

    snr_db: Mapping[Path, float] = field(default_factory=dict)
    limit: int | None = None
    other: Other | None = None
    asked: Sequence[Sample] = ()
    conventions: Conventions = ()

    def asked_or(self, answered: Sequence[Answered]) -> Sequence[Sample]:
        """Every sample of the run; those of the answers, where no others are known."""
        return self.asked or [item.sample for item in answered]


_NOTHING = Beside()


def score(answered: Sequence[Answered], beside: Beside = _NOTHING) -> list[RowScores]:
    """Every row that the samples asked belong to, in both modes; rows for a judge are scored by `judge_scores`.

    A row without any answer has an undefined figure.

    Raises:
        UserError: a library of the extra `eval` is missing.
    """
    found, asked = [], beside.asked_or(answered)
    rows = [row for row in rows_for(asked) if row.metric != "judge"]
    for name in MODES:
        mode = open_mode(name, asked, beside.conventions)
        for row in rows:
            of_row = replace(beside, asked=[sample for sample in asked if sample.source in row.sources])
            found.append(_score_row(row, [item for item in answered if _belongs(item, row)], mode, of_row))
    return found


def _belongs(item: Answered, row: Row) -> bool:
    return item.sample.source in row.sources


def _score_row(row: Row, answered: Sequence[Answered], mode: Mode, beside: Beside) -> RowScores:
    if not answered:
        return not_scored(row, mode.name, beside)
    counted = count(row, answered, mode)
    clusters, name, remarks = clusters_of(answered)
    flags = [
        flags_of(item, label_expected=bool(counted.labels), label=label)
        for item, label in zip(answered, counted.labels or [None] * len(answered), strict=True)
    ]
    figures = tuple(_figure(figure, clusters) for figure in counted.figures)
    return RowScores(
        row.name,
        mode.name,
        len(answered),
        sum(item.sample.duration_s or 0 for item in answered),
        figures,
        _counts(counted, flags),
        name,
        _slices(answered, counted, clusters, beside.snr_db),
        _confusions(answered, counted),
        _comparisons(row, answered, counted, mode, beside.other),
        (*remarks_of(row, answered, beside), *remarks, *remarks_on(figures[0].interval, name)),
        tuple(map(Scored, answered, counted.pairs, map(float, counted.errors), flags)),
        len(beside.asked) - len(answered),
    )


def not_scored(row: Row, mode: ModeName, beside: Beside) -> RowScores:
    """A row of which nothing is answered yet: its figures undefined. beside: `asked` holds the row's samples alone."""
    names = (row.metric, *_SECOND.get(row.metric, ()))
    if by_character(beside.asked):
        names = tuple(name for name in names if name != "cer")
    figures = tuple(Figure(name, Interval(nan, nan, nan, 0), primary=name == row.metric) for name in names)
    remarks = tuple(remarks_of(row, (), beside))
    return RowScores(row.name, mode, 0, 0.0, figures, (), "utterance", remarks=remarks, num_missing=len(beside.asked))


def remarks_of(row: Row, answered: Sequence[Answered], beside: Beside) -> list[str]:
    """What was not asked or not answered of a row. beside: `asked` holds the row's samples alone."""
    remarks = row_remarks(row, beside.asked, limit=beside.limit)
    what = "judgement" if row.metric == "judge" else "answer"
    todo = "start the run again" + (", then judge it" if row.metric == "judge" else "")
    num_missing, num_asked = len(beside.asked) - len(answered), len(beside.asked)
    if num_missing and not answered:
        remarks.append(f"none of the {num_asked:,} samples has {'an' if what == 'answer' else 'a'} {what} yet; {todo}")
    elif num_missing:
        which = ", the shortest ones among them" if what == "answer" else ""  # the longest are asked first
        have = f"{num_missing:,} of {num_asked:,} samples {'has' if num_missing == 1 else 'have'}"
        remarks.append(f"{have} no {what} yet{which}; {todo}")
    return remarks


def clusters_of(answered: Sequence[Answered]) -> tuple[list[str] | None, str, list[str]]:
    """What is resampled as one, what it is called, and what to say about it.

    Speakers, where at least two are known; a sample without one is a cluster of its own. Else single utterances.
    """
    speakers = {item.sample.speaker for item in answered}
    known = len(speakers - {None})
    if known < 2:
        who = "one speaker" if known else "no speaker named"
        return None, "utterance", [f"{who}: the interval resamples utterances and says nothing about other speakers"]
    clusters = [item.sample.speaker or f"\0{place}" for place, item in enumerate(answered)]
    if None in speakers:
        return clusters, "speaker", ["some samples name no speaker: each of them counts as one of its own"]
    return clusters, "speaker", []


def remarks_on(interval: Interval, clusters: str) -> list[str]:
    """What keeps an interval from meaning what it seems to: hardly anything to resample, or nothing that differs."""
    if interval.num_clusters < FEW:
        return [f"{interval.num_clusters} to resample ({clusters}): too few for an interval that means much"]
    if interval.low == interval.high:
        return [f"no {clusters} differs from another, so that the interval is a point; it is not certain for that"]
    return []


def _figure(figure: Counted, clusters: Sequence[str] | None) -> Figure:
    return Figure(figure.measure.name, interval(figure.counts, clusters, figure.measure), figure.primary)


def _counts(counted: CountedRow, flags: Sequence[tuple[Flag, ...]]) -> tuple[tuple[str, int], ...]:
    first = counted.figures[0]
    found: list[tuple[str, int]] = []
    if first.measure.name == "wer":
        names = ("substitutions", "insertions", "deletions", "reference_words")
        found += zip(names, map(int, first.counts.sum(axis=0)), strict=True)
    seen = Counter(flag for marks in flags for flag in marks)
    return (*found, *((count_name(flag), seen[flag]) for flag in FLAGS if flag != "unparsed" or counted.labels))


def _slices(
    answered: Sequence[Answered], counted: CountedRow, clusters: Sequence[str] | None, snr_db: Mapping[Path, float]
) -> tuple[Slice, ...]:
    first = counted.figures[0]
    found = []
    for by, part, places in slices_of([item.sample for item in answered], snr_db):
        of_part = Counted(first.measure, first.counts[places], first.primary)
        own = None if clusters is None or by == "speaker" else [clusters[place] for place in places]
        found.append(Slice(by, part, len(places), _figure(of_part, own)))
    return tuple(found)


def _confusions(answered: Sequence[Answered], counted: CountedRow) -> tuple[tuple[str, str, int], ...]:
    pairs = Counter(
        (item.sample.reference, label if label is not None else _UNPARSED)
        for item, label in zip(answered, counted.labels, strict=bool(counted.labels))
    )
    return tuple((right, said, number) for (right, said), number in sorted(pairs.items()))


def _comparisons(
    row: Row, answered: Sequence[Answered], counted: CountedRow, mode: Mode, other: Other | None
) -> tuple[Comparison, ...]:
    """Each figure on the samples that both runs answered, told apart by source, id and reference.

    What else a sample says (labels, language, speaker) may differ there; both are counted by what it says here.
    """
    if other is None:
        return ()
    theirs = {name_of(item): item for item in other.answered if _belongs(item, row)}
    ours = [item for item in answered if name_of(item) in theirs]
    if not ours:
        return ()
    clusters, _, _ = clusters_of(ours)
    counted = counted if len(ours) == len(answered) else count(row, ours, mode)
    recounted = count(row, [replace(theirs[name_of(item)], sample=item.sample) for item in ours], mode)
    found = []
    for one, its in zip(counted.figures, recounted.figures, strict=True):
        difference, p_value = paired(one.counts, its.counts, clusters, one.measure)
        found.append(Comparison(other.name, one.measure.name, len(ours), difference, p_value))
    return tuple(found)


def name_of(item: Answered) -> tuple[str, str, str]:
    """Source, id and reference: the same sample in two runs."""
    return item.sample.source, item.sample.id, item.sample.reference
