"""What the judge's scores make of a row: the mean over both positions, official and strict.

A reply without scores: the published script (cal_score.py of OFA-Sys/AIR-Bench) counts it and leaves it out of the mean
of its position. Strict counts it as the lowest score, as it counts a label that cannot be read as wrong: what a judge
will not score must not raise a mean. The distance between both modes is all that such replies can matter.
"""

from collections.abc import Sequence

import numpy as np

from auricle.evaluate.flags import Flag, flags_of
from auricle.evaluate.judge import HIGHEST, LOWEST, Judged
from auricle.evaluate.normalise.interface import ModeName, Pair
from auricle.evaluate.published import ROWS, Row
from auricle.evaluate.rows import row_remarks, rows_for
from auricle.evaluate.score import MODES, clusters_of, remarks_on
from auricle.evaluate.scores import Figure, RowScores, Scored, Slice
from auricle.evaluate.slices import slices_of
from auricle.metrics import Measure, interval
from auricle.metrics.counts import ratio

_COUNTED: tuple[Flag, ...] = ("empty", "runaway", "cut off", "failed", "unparsed")
_PER_GROUP = 4  # columns: score and number of replies, with the answer second and first


def judge_scores(
    judged: Sequence[Judged], *, name: str, temperature: float, limit: int | None = None
) -> list[RowScores]:
    """Every row that these answers belong to, in both modes, as `score` gives those of the other metrics.

    Args:
        judged: by `judge`.
        name: the judge's, for the remarks.
        temperature: of the judge, for the remarks.
        limit: of the run, for the remarks.
    """
    found = []
    for mode in MODES:
        for row in rows_for(item.answered.sample for item in judged):
            of_row = [item for item in judged if item.answered.sample.source in row.sources]
            remarks = row_remarks(row, [item.answered.sample for item in of_row], limit=limit)
            remarks += _remarks(of_row, mode, name, temperature)
            found.append(_score_row(row, of_row, mode, remarks))
    return found


def _score_row(row: Row, judged: Sequence[Judged], mode: ModeName, remarks: list[str]) -> RowScores:
    groups = [other.sources for other in ROWS if other.name in row.mean_of] or [row.sources]
    measure, counts = _measure(len(groups)), np.stack([_counts(item, groups, mode) for item in judged])
    answered = [item.answered for item in judged]
    clusters, kind, remarks_of_clusters = clusters_of(answered)
    flags = [_flags(item) for item in judged]
    slices = []
    for by, part, places in [] if row.mean_of else slices_of([item.sample for item in answered], {}):
        own = None if clusters is None or by == "speaker" else [clusters[place] for place in places]
        figure = Figure("judge", interval(counts[places], own, measure), primary=True)
        slices.append(Slice(by, part, len(places), figure))
    figure = Figure("judge", interval(counts, clusters, measure), primary=True)
    return RowScores(
        row.name,
        mode,
        len(judged),
        sum(item.sample.duration_s or 0 for item in answered),
        (figure,),
        tuple((flag.replace(" ", "_"), sum(flag in marks for marks in flags)) for flag in _COUNTED),
        kind,
        tuple(slices),
        remarks=(*remarks, *remarks_of_clusters, *remarks_on(figure.interval, kind)),
        answers=() if row.mean_of else tuple(map(_scored, judged, flags)),
    )


def _measure(num_groups: int) -> Measure:
    """The mean over the groups of the mean over both positions, each the mean of its replies."""
    columns = ("score second", "replies second", "score first", "replies first") * num_groups

    def mean(sums: np.ndarray) -> np.ndarray:
        parts = sums.reshape(*sums.shape[:-1], num_groups, 2, 2)
        found: np.ndarray = ratio(parts[..., 0], parts[..., 1]).mean(axis=(-1, -2))
        return found

    return Measure("judge", columns, mean, bounds=(LOWEST, HIGHEST))


def _counts(item: Judged, groups: Sequence[tuple[str, ...]], mode: ModeName) -> np.ndarray:
    """Float64 [columns of the measure]; only those of the item's own group are not 0."""
    counts = np.zeros((len(groups), _PER_GROUP // 2, 2))
    group = next(place for place, sources in enumerate(groups) if item.answered.sample.source in sources)
    for position, scores in enumerate((item.after, item.before)):
        if scores is not None:
            counts[group, position] = scores.model, 1
        elif mode == "strict":
            counts[group, position] = LOWEST, 1
    return counts.ravel()


def _flags(item: Judged) -> tuple[Flag, ...]:
    return (*flags_of(item.answered, label_expected=False, label=None), *(("unparsed",) if item.num_failed else ()))


def _scored(item: Judged, flags: tuple[Flag, ...]) -> Scored:
    """error: 0 for the highest score in both positions, 1 for the lowest or none."""
    scores = [LOWEST if scores is None else scores.model for scores in (item.after, item.before)]
    error = (HIGHEST - sum(scores) / len(scores)) / (HIGHEST - LOWEST)
    texts = item.answered.sample.reference, item.answered.text
    return Scored(item.answered, Pair(*(tuple(text.split()) for text in texts)), error, flags)


def _remarks(judged: Sequence[Judged], mode: ModeName, name: str, temperature: float) -> list[str]:
    found = [
        f"judged by {name} at temperature {temperature:g}; the published figures: by gpt-4-0125-preview at 1, and at 2 "
        "for half of the items"
    ]
    of_references = [scores.reference for item in judged for scores in (item.after, item.before) if scores is not None]
    if of_references:
        found.append(f"the references themselves get {np.mean(of_references):.2f} from this judge")
    if num_failed := sum(item.num_failed for item in judged):
        how = "are left out, as in the published script" if mode == "official" else f"count as {LOWEST}, the lowest"
        found.append(f"{num_failed} of the judge's {2 * len(judged)} replies are missing or no two scores and {how}")
    return found
