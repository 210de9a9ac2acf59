"""Which lines a table has: the published ones that the samples belong to, then one for every other source."""

from collections import Counter
from collections.abc import Iterable, Sequence

from auricle.evaluate.published import ROWS, Metric, Row
from auricle.evaluate.sample import Sample, Task

METRICS: dict[Task, Metric] = {
    "asr": "wer",
    "translation": "bleu",
    "emotion": "accuracy",
    "vocal_sound": "accuracy",
    "sound": "accuracy",
    "chat": "judge",
}


def rows_for(samples: Iterable[Sample]) -> list[Row]:
    """The published rows with at least one of these samples, in the table's order; then the others' by name."""
    sources = {sample.source: sample for sample in samples}
    published = [row for row in ROWS if any(source in sources for source in row.sources)]
    covered = {source for row in published for source in row.sources}
    others = [
        Row(source, sample.dataset, (source,), METRICS[sample.task])
        for source, sample in sorted(sources.items())
        if source not in covered
    ]
    return published + others


def row_remarks(row: Row, samples: Sequence[Sample], *, limit: int | None) -> list[str]:
    """What keeps a row's figure from standing beside the published one: parts that are missing, another count.

    samples: of the row, all that are asked. limit: samples of each source; it is told where it may have cut one.
    """
    present = Counter(sample.source for sample in samples)
    remarks = []
    if missing := [source for source in row.sources if source not in present]:
        remarks.append(f"pools {' and '.join(row.sources)} when published; here without {' and '.join(missing)}")
    is_fewer = row.count is None or len(samples) < row.count
    if limit is not None and is_fewer and max(present.values(), default=0) >= limit:
        remarks.append(f"a part: at most {limit:,} samples of each source were asked (--limit)")
    if row.count is not None and len(samples) != row.count:
        remarks.append(f"{len(samples):,} samples, the published row has {row.count:,}")
    return remarks
