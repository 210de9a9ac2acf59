"""What the judge's scores make of a row: the mean over both positions, official and strict.

A reply without scores: the published script (cal_score.py of OFA-Sys/AIR-Bench) counts it and leaves it out of the mean
of its position. Strict counts it as the lowest score, as it counts a label that cannot be read as wrong: what a judge
will not score must not raise a mean. The distance between both modes is all that such replies can matter.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from auricle.evaluate.flags import FLAGS, Flag, count_name, flags_of
from auricle.evaluate.judge import HIGHEST, LOWEST, Judged
from auricle.evaluate.judged_file import Judgement
from auricle.evaluate.normalise.interface import ModeName, Pair
from auricle.evaluate.published import ROWS, Row
from auricle.evaluate.rows import rows_for
from auricle.evaluate.sample import Answered
from auricle.evaluate.score import MODES, Beside, Other, clusters_of, name_of, not_scored, remarks_of, remarks_on
from auricle.evaluate.scores import Comparison, Figure, RowScores, Scored, Slice
from auricle.evaluate.slices import slices_of
from auricle.metrics import Measure, interval, paired
from auricle.metrics.counts import ratio

_PER_GROUP = 4  # columns: score and number of replies, with the answer second and first


def judge_scores(judgement: Judgement, beside: Beside) -> list[RowScores]:
    """Every row that the chats asked belong to, in both modes, as `score` gives those of the other metrics.

    Args:
        judgement: of the run.
        beside: what there is beside it; compared is a judgement by the same judge at the same temperature.
    """
    chats = [
        sample for sample in beside.asked_or([item.answered for item in judgement.judged]) if sample.task == "chat"
    ]
    found = []
    for mode in MODES:
        for row in rows_for(chats):
            of_row = replace(beside, asked=[sample for sample in chats if sample.source in row.sources])
            judged = tuple(item for item in judgement.judged if item.answered.sample.source in row.sources)
            found.append(_score_row(row, replace(judgement, judged=judged), mode, of_row))
    return found


def _score_row(row: Row, judgement: Judgement, mode: ModeName, beside: Beside) -> RowScores:
    judged = judgement.judged
    if not judged:
        return not_scored(row, mode, beside)
    groups = [other.sources for other in ROWS if other.name in row.mean_of] or [row.sources]
    measure, counts = _measure(len(groups)), _stacked(judged, groups, mode)
    answered = [item.answered for item in judged]
    clusters, kind, remarks_of_clusters = clusters_of(answered)
    flags = [_flags(item) for item in judged]
    figure = Figure("judge", interval(counts, clusters, measure), primary=True)
    comparisons, compared = _comparisons(groups, judgement, mode, beside.other)
    remarks = (*remarks_of(row, answered, beside), *_remarks(judgement, mode), *compared, *remarks_of_clusters)
    return RowScores(
        row.name,
        mode,
        len(judged),
        sum(item.sample.duration_s or 0 for item in answered),
        (figure,),
        tuple((count_name(flag), sum(flag in marks for marks in flags)) for flag in FLAGS),
        kind,
        () if row.mean_of else _slices(answered, counts, clusters, measure),
        comparisons=comparisons,
        remarks=(*remarks, *remarks_on(figure.interval, kind)),
        answers=() if row.mean_of else tuple(map(_scored, judged, flags)),
        num_missing=len(beside.asked) - len(judged),
    )


def _slices(
    answered: Sequence[Answered], counts: np.ndarray, clusters: Sequence[str] | None, measure: Measure
) -> tuple[Slice, ...]:
    found = []
    for by, part, places in slices_of([item.sample for item in answered], {}):
        own = None if clusters is None or by == "speaker" else [clusters[place] for place in places]
        figure = Figure("judge", interval(counts[places], own, measure), primary=True)
        found.append(Slice(by, part, len(places), figure))
    return tuple(found)


def _comparisons(
    groups: Sequence[tuple[str, ...]], judgement: Judgement, mode: ModeName, other: Other | None
) -> tuple[tuple[Comparison, ...], list[str]]:
    """On the answers that both runs have judged, or why there is none."""
    if other is None:
        return (), []
    by = other.judgement
    if by is None or (by.name, by.temperature) != (judgement.name, judgement.temperature):
        who = "nobody" if by is None else _judge(by)
        return (), [f"no comparison with {other.name}: that run is judged by {who}, this one by {_judge(judgement)}"]
    of_name = {name_of(item.answered): item for item in by.judged}
    ours = [item for item in judgement.judged if name_of(item.answered) in of_name]
    if not ours:
        return (), [f"no comparison with {other.name}: none of these samples is judged there"]
    clusters, _, _ = clusters_of([item.answered for item in ours])
    measure, theirs = _measure(len(groups)), [of_name[name_of(item.answered)] for item in ours]
    counts = _stacked(ours, groups, mode), _stacked(theirs, groups, mode)
    difference, p_value = paired(*counts, clusters, measure)
    return (Comparison(other.name, measure.name, len(ours), difference, p_value),), []


def _measure(num_groups: int) -> Measure:
    """The mean over the groups of the mean over both positions, each the mean of its replies."""
    columns = ("score second", "replies second", "score first", "replies first") * num_groups

    def mean(sums: np.ndarray) -> np.ndarray:
        parts = sums.reshape(*sums.shape[:-1], num_groups, 2, 2)
        found: np.ndarray = ratio(parts[..., 0], parts[..., 1]).mean(axis=(-1, -2))
        return found

    return Measure("judge", columns, mean, bounds=(LOWEST, HIGHEST))


def _stacked(judged: Sequence[Judged], groups: Sequence[tuple[str, ...]], mode: ModeName) -> np.ndarray:
    """Float64 [answers, columns of the measure]."""
    return np.stack([_counts(item, groups, mode) for item in judged])


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


def _remarks(judgement: Judgement, mode: ModeName) -> list[str]:
    found = [
        f"judged by {_judge(judgement)}; the published figures: by gpt-4-0125-preview at 1, and at 2 for half of the "
        "items"
    ]
    judged = judgement.judged
    of_references = [scores.reference for item in judged for scores in (item.after, item.before) if scores is not None]
    if of_references:
        found.append(f"the references themselves get {np.mean(of_references):.2f} from this judge")
    if num_failed := sum(item.num_failed for item in judged):
        how = "are left out, as in the published script" if mode == "official" else f"count as {LOWEST}, the lowest"
        found.append(f"{num_failed} of the judge's {2 * len(judged)} replies are missing or no two scores and {how}")
    return found


def _judge(judgement: Judgement) -> str:
    return f"{judgement.name} at temperature {judgement.temperature:g}"
