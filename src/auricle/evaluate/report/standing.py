"""Where a row stands to what was published."""

from auricle.evaluate.published import Row
from auricle.evaluate.report.figures import Verdict, verdict
from auricle.evaluate.score import FEW
from auricle.evaluate.scores import Figure, RowScores

PUBLISHED = (("official", "Official"), ("transformers", "Transformers"), ("vllm", "vLLM"))
UNSIGNED = f"no sign: a part of the row's samples, or fewer than {FEW} to resample"
_PART = "a part:"  # how the remark on a run with a limit begins


def published_figures(row: Row | None) -> dict[str, float]:
    """`official`, `transformers`, `vllm` -> what was published, as far as it was."""
    figures = {field: getattr(row, field, None) for field, _ in PUBLISHED}
    return {field: value for field, value in figures.items() if value is not None}


def compared_figure(row: RowScores, published: Row | None) -> Figure | None:
    """The figure that stands beside the published ones: the one in their metric."""
    metric = row.primary.name if published is None else published.metric
    return next((figure for figure in row.figures if figure.name == metric), None)


def standing(row: RowScores, published: Row | None, value: float) -> Verdict | None:
    """Where ours stands to a published value of its row.

    None where that would say nothing: no figure in its metric, answers that are still missing, a run with a limit, an
    interval over fewer than FEW clusters.
    """
    figure = compared_figure(row, published)
    if figure is None or row.num_missing or figure.interval.num_clusters < FEW:
        return None
    if any(remark.startswith(_PART) for remark in row.remarks):
        return None
    return verdict(figure.name, figure.interval, value)
