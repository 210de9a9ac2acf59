"""Answers into scores: every row in every mode, with intervals, slices and a comparison with another run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from auricle.evaluate.counted import Counted, CountedRow, count
from auricle.evaluate.flags import flags_of
from auricle.evaluate.normalise import open_mode
from auricle.evaluate.normalise.interface import Mode, ModeName
from auricle.evaluate.published import Row
from auricle.evaluate.rows import row_remarks, rows_for
from auricle.evaluate.sample import Answered
from auricle.evaluate.scores import Comparison, Figure, RowScores, Scored, Slice
from auricle.evaluate.slices import slices_of
from auricle.metrics import Interval, interval, paired

MODES: tuple[ModeName, ...] = ("official", "strict")
_UNPARSED = "(unparsed)"
_FEW = 5  # speakers or utterances; under that many, a bootstrap has hardly any different resamples


@dataclass(frozen=True, slots=True)
class Other:
    """Another run to compare with. name: as the report calls it; answered: its answers."""

    name: str
    answered: Sequence[Answered]


@dataclass(frozen=True, slots=True)
class Beside:
    """What scoring takes into account beside the answers.

    snr_db: by recording, as far as measured. limit: of the run, for remarks. other: a run to compare with.
    """

    snr_db: Mapping[Path, float] = field(default_factory=dict)
    limit: int | None = None
    other: Other | None = None


def score(answered: Sequence[Answered], beside: Beside = Beside()) -> list[RowScores]:
    """Every row that these answers belong to, in both modes; rows for a judge are scored by `judge`.

    Raises:
        UserError: a library of the extra `eval` is missing.
    """
    found = []
    for name in MODES:
        mode = open_mode(name, [item.sample for item in answered])
        for row in rows_for(item.sample for item in answered):
            if row.metric != "judge":
                found.append(_score_row(row, [item for item in answered if _belongs(item, row)], mode, beside))
    return found


def _belongs(item: Answered, row: Row) -> bool:
    return item.sample.source in row.sources


def _score_row(row: Row, answered: Sequence[Answered], mode: Mode, beside: Beside) -> RowScores:
    counted = count(row, answered, mode)
    clusters, name, remarks = clusters_of(answered)
    flags = [
        flags_of(item, label_expected=bool(counted.labels), label=label)
        for item, label in zip(answered, counted.labels or [None] * len(answered), strict=True)
    ]
    figures = tuple(_figure(figure, clusters) for figure in counted.figures)
    samples = [item.sample for item in answered]
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
        (*row_remarks(row, samples, limit=beside.limit), *remarks, *remarks_on(figures[0].interval, name)),
        tuple(map(Scored, answered, counted.pairs, map(float, counted.errors), flags)),
    )


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
    if interval.num_clusters < _FEW:
        return [f"{interval.num_clusters} to resample ({clusters}): too few for an interval that means much"]
    if interval.low == interval.high:
        return [f"no {clusters} differs from another, so that the interval is a point; it is not certain for that"]
    return []


def _figure(figure: Counted, clusters: Sequence[str] | None) -> Figure:
    return Figure(figure.measure.name, interval(figure.counts, clusters, figure.measure), figure.primary)


def _counts(counted: CountedRow, flags: Sequence[tuple[str, ...]]) -> tuple[tuple[str, int], ...]:
    first = counted.figures[0]
    found: list[tuple[str, int]] = []
    if first.measure.name == "wer":
        names = ("substitutions", "insertions", "deletions", "reference_words")
        found += zip(names, map(int, first.counts.sum(axis=0)), strict=True)
    seen = Counter(flag.replace(" ", "_") for marks in flags for flag in marks)
    names_of_flags = ("empty", "runaway", "cut_off", "failed") + (("unparsed",) if counted.labels else ())
    return (*found, *((name, seen[name]) for name in names_of_flags))


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
    """Each figure on the samples that both runs answered, told apart by source, id and reference."""
    if other is None:
        return ()
    theirs = {_name(item): item for item in other.answered if _belongs(item, row)}
    places = [place for place, item in enumerate(answered) if _name(item) in theirs]
    if not places:
        return ()
    clusters, _, _ = clusters_of([answered[place] for place in places])
    recounted = count(row, [theirs[_name(answered[place])] for place in places], mode)
    found = []
    for ours, its in zip(counted.figures, recounted.figures, strict=True):
        difference, p_value = paired(ours.counts[places], its.counts, clusters, ours.measure)
        found.append(Comparison(other.name, ours.measure.name, len(places), difference, p_value))
    return tuple(found)


def _name(item: Answered) -> tuple[str, str, str]:
    return item.sample.source, item.sample.id, item.sample.reference
