"""Everything that a report says and a program may read."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from auricle.evaluate.normalise.interface import ModeName
from auricle.evaluate.published import Row
from auricle.evaluate.report.answers import worst
from auricle.evaluate.report.comparisons import corrected
from auricle.evaluate.report.figures import unit_of
from auricle.evaluate.report.settings import ReportSettings
from auricle.evaluate.report.standing import published_figures, standing
from auricle.evaluate.run_info import RunInfo
from auricle.evaluate.scores import RowScores, Scored

FORMAT = 1  # rises when a key changes its meaning or goes; new keys may come at any time


def json_report(
    info: RunInfo,
    scores: Sequence[RowScores],
    rows: Mapping[str, Row],
    settings: ReportSettings,
    reasons: Mapping[ModeName, Sequence[str]],
    *,
    num_missing: int = 0,
) -> str:
    """The text of report.json.

    Keys, which stay: `format` (1); `run`: the fields of RunInfo, `versions` as an object, and `audio_s_per_s`;
    `num_missing`: samples of the run that have no answer yet; `modes`: name -> sentences about it; `rows`: a list with,
    for each row and mode,

    - `row`, `mode`, `dataset`, `num_samples`, `num_missing`, `published_count`, `audio_s`, `clusters`, `remarks`;
    - `primary`: the name of the figure it is known by;
    - `figures`: name -> `value`, `low`, `high`, `num_clusters`;
    - `counts`: name -> how many;
    - `published`: `official`, `transformers`, `vllm` -> `value` and `verdict` (`inside`, `better`, `worse`: ours to
      it; null where that would say nothing), as far as they exist; `published_metric`: the figure that they are;
    - `slices`: `by`, `part`, `num_samples`, `figure`, `value`, `low`, `high`, `num_clusters`;
    - `confusions`: `right`, `answer`, `count`;
    - `comparisons`: `other`, `figure`, `num_samples`, `difference` (`value`, `low`, `high`, `num_clusters`),
      `p_value`, `p_holm`;
    - `worst`: `source`, `id`, `audio`, `speaker`, `duration_s`, `prompt`, `reference`, `answer`, `normalised`
      (`reference` and `answer` as lists), `error`, `flags`, `failure`.

    All rates are fractions, published ones too (0.0168 is 1.68 %). What is undefined is null.
    """
    run = dataclasses.asdict(info) | {
        "versions": dict(info.versions),
        "audio_s_per_s": info.audio_s / info.took_s if info.took_s > 0 else None,
    }
    holm = {mode: corrected([row for row in scores if row.mode == mode]) for mode in {row.mode for row in scores}}
    report = {
        "format": FORMAT,
        "run": run,
        "num_missing": num_missing,
        "modes": {row.mode: list(reasons.get(row.mode, ())) for row in scores},
        "rows": [_row(row, rows.get(row.row), holm[row.mode], settings.worst_per_row) for row in scores],
    }
    return json.dumps(_defined(report), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _row(
    row: RowScores, published: Row | None, holm: Mapping[tuple[str, str, str], float], num_worst: int
) -> dict[str, Any]:
    return {
        "row": row.row,
        "mode": row.mode,
        "dataset": published.dataset if published else None,
        "num_samples": row.num_samples,
        "num_missing": row.num_missing,
        "published_count": published.count if published else None,
        "audio_s": row.audio_s,
        "clusters": row.clusters,
        "remarks": list(row.remarks),
        "primary": row.primary.name,
        "figures": {figure.name: dataclasses.asdict(figure.interval) for figure in row.figures},
        "counts": dict(row.counts),
        "published_metric": published.metric if published else None,
        "published": _published(row, published),
        "slices": [
            {"by": part.by, "part": part.part, "num_samples": part.num_samples, "figure": part.figure.name}
            | dataclasses.asdict(part.figure.interval)
            for part in row.slices
        ],
        "confusions": [{"right": right, "answer": answer, "count": count} for right, answer, count in row.confusions],
        "comparisons": [
            dataclasses.asdict(known) | {"p_holm": holm[(row.row, known.other, known.figure)]}
            for known in row.comparisons
        ],
        "worst": [_answer(scored) for scored in worst(row, num_worst)],
    }


def _published(row: RowScores, published: Row | None) -> dict[str, dict[str, Any]]:
    """Published values as fractions where they are rates, and where ours stands to them."""
    if published is None:
        return {}
    scale = unit_of(published.metric).scale
    return {
        field: {"value": round(value / scale, 6), "verdict": standing(row, published, value)}
        for field, value in published_figures(published).items()
    }


def _answer(scored: Scored) -> dict[str, Any]:
    sample = scored.answered.sample
    return {
        "source": sample.source,
        "id": sample.id,
        "audio": str(sample.audio),
        "speaker": sample.speaker,
        "duration_s": sample.duration_s,
        "prompt": sample.prompt,
        "reference": sample.reference,
        "answer": scored.answered.text,
        "normalised": {"reference": list(scored.pair.reference), "answer": list(scored.pair.answer)},
        "error": scored.error,
        "flags": list(scored.flags),
        "failure": scored.answered.failure,
    }


def _defined(value: Any) -> Any:
    """The same with null for whatever is no finite number."""
    if isinstance(value, Mapping):
        return {key: _defined(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_defined(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
