"""`--fail-if`: conditions on figures, for a pipeline that must stop when a model got worse."""

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from auricle.errors import UserError
from auricle.evaluate.published import Row
from auricle.evaluate.report.comparisons import SURE, corrected
from auricle.evaluate.report.figures import UNITS, unit_of
from auricle.evaluate.scores import Figure, RowScores

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_CONDITION = re.compile(
    r"\s*(?:(?P<row>[^\s<>=]+)\.)?(?P<figure>[a-z0-9_]+)\s*(?P<operator>[<>]=?)\s*"
    r"(?:(?P<number>-?\d+(?:\.\d+)?)\s*(?P<percent>%)?|(?P<other>other))\s*"
)
_EXAMPLES = "'wer>5', 'librispeech_test_clean.wer>2.5', 'accuracy<0.9' or 'wer>other'"
_BESIDE: dict[str, tuple[str, ...]] = {  # metric of a row -> its figures
    "wer": ("wer", "cer"),
    "bleu": ("bleu", "chrf"),
    "accuracy": ("accuracy", "macro_f1"),
    "judge": ("judge",),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """What must not be.

    text: as it was given. row: a pattern such as `covost2_*`; `*` is every row that has the figure. limit: in the
    figure's own unit (a fraction for error rates); None stands for the other run's figure.
    """

    text: str
    row: str
    figure: str
    operator: str
    limit: float | None


def parse_condition(text: str) -> Condition:
    """`[ROW.]FIGURE OPERATOR NUMBER[%]`, or `other` for the number: the run that this one is compared with.

    Against `other` only a difference counts that the report calls one: p < 0.05 after Holm's correction for all rows.
    Error rates are percentages with or without the sign, as in the published table; other figures are as printed
    there, and with the sign hundredths.

    Raises:
        UserError: it reads as no condition.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise UserError(f"--fail-if {text!r} is no condition: expected one such as {_EXAMPLES}")
    limit = None
    if match["number"] is not None:
        unit = UNITS.get(match["figure"])
        scale = 100 if match["percent"] else unit.scale if unit else 1
        limit = float(match["number"]) / scale
    return Condition(text.strip(), match["row"] or "*", match["figure"], match["operator"], limit)


def violations(conditions: Sequence[Condition], scores: Sequence[RowScores], unscored: Sequence[Row] = ()) -> list[str]:
    """A sentence for each row that meets a condition, or of which too little is known to rule that out.

    Args:
        conditions: parsed.
        scores: of one mode; for `other`, with their comparisons.
        unscored: rows that were asked for and have no score at all.

    Raises:
        UserError: a condition concerns no row at all, so that it could never fail; or it compares with a run that has
            no such row.
    """
    p_values = corrected(scores)
    found: list[str | None] = []
    for condition in conditions:
        concerned = [row for row in scores if _concerns(condition, row)]
        waiting = [row for row in unscored if _may_concern(condition, row.name, row.metric)]
        if not concerned and not waiting:
            known = ", ".join(sorted({f"{row.row}.{figure.name}" for row in scores for figure in row.figures}))
            raise UserError(f"--fail-if {condition.text!r} concerns no row: expected one of {known}")
        found += [_violation(condition, row, p_values) for row in concerned]
        found += [
            _not_ruled_out(condition, row.name, f"no sample has its {_lacking(row.metric)} yet") for row in waiting
        ]
    return [sentence for sentence in found if sentence]


def _concerns(condition: Condition, row: RowScores) -> bool:
    if any(figure.name == condition.figure for figure in row.figures):
        return fnmatchcase(row.row, condition.row)
    return row.num_missing > 0 and _may_concern(condition, row.row, row.primary.name)


def _may_concern(condition: Condition, row: str, metric: str) -> bool:
    """Whether a row will have the figure once it is answered."""
    return condition.figure in _BESIDE[metric] and fnmatchcase(row, condition.row)


def _violation(condition: Condition, row: RowScores, p_values: Mapping[tuple[str, str, str], float]) -> str | None:
    if row.num_missing:
        total = row.num_samples + row.num_missing
        lack = f"{row.num_missing:,} of {total:,} samples have no {_lacking(row.primary.name)} yet"
        return _not_ruled_out(condition, row.row, lack)
    figure = next(figure for figure in row.figures if figure.name == condition.figure)
    if condition.limit is None:
        return _against_other(condition, row, figure, p_values)
    value = figure.interval.value
    if math.isnan(value):
        return _not_ruled_out(condition, row.row, f"{figure.name} is undefined")
    if _OPERATORS[condition.operator](value, condition.limit):
        return f"{row.row}: {_shown(figure.name, value)} meets {condition.text!r}"
    return None


def _against_other(
    condition: Condition, row: RowScores, figure: Figure, p_values: Mapping[tuple[str, str, str], float]
) -> str | None:
    comparison = next((found for found in row.comparisons if found.figure == figure.name), None)
    if comparison is None:
        raise UserError(
            f"--fail-if {condition.text!r} compares {row.row} with another run, which has no {figure.name} for it; "
            "give --against DIR of a run that does"
        )
    other, difference = comparison.other, comparison.difference.value
    p_value = p_values[row.row, other, figure.name]
    if comparison.num_samples < row.num_samples:
        common = f"only {comparison.num_samples:,} of its {row.num_samples:,} samples are in {other} too"
        return _not_ruled_out(condition, row.row, common)
    if math.isnan(difference) or math.isnan(p_value):
        return _not_ruled_out(condition, row.row, f"the difference from {other} is undefined")
    if _OPERATORS[condition.operator](difference, 0) and p_value < SURE:
        sign = "above" if difference > 0 else "below"
        gap = _shown(figure.name, abs(difference))
        return f"{row.row}: {gap} {sign} {other}, p = {p_value:.3g} (Holm), meets {condition.text!r}"
    return None


def _not_ruled_out(condition: Condition, row: str, why: str) -> str:
    return f"{row}: {why}, so {condition.text!r} cannot be ruled out"


def _lacking(metric: str) -> str:
    return "judgement" if metric == "judge" else "answer"


def _shown(figure: str, value: float) -> str:
    unit = unit_of(figure)
    return f"{figure} {value * unit.scale:.{unit.decimals}f}{unit.suffix}"
