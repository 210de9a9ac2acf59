"""`--fail-if`: conditions on figures, for a pipeline that must stop when a model got worse."""

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from auricle.errors import UserError
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
_SURE = 0.05  # the largest p-value that counts as a difference


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
    """`[ROW.]FIGURE OPERATOR NUMBER[%]`, or `other` for the number: worse than the run it is compared with, p < 0.05.

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


def violations(conditions: Sequence[Condition], scores: Sequence[RowScores]) -> list[str]:
    """A sentence for each row that meets a condition.

    Args:
        conditions: parsed.
        scores: of one mode; for `other`, with their comparisons.

    Raises:
        UserError: a condition concerns no row at all, so that it could never fail.
    """
    found = []
    for condition in conditions:
        concerned = [
            (row, figure)
            for row in scores
            for figure in row.figures
            if figure.name == condition.figure and fnmatchcase(row.row, condition.row)
        ]
        if not concerned:
            known = ", ".join(sorted({f"{row.row}.{figure.name}" for row in scores for figure in row.figures}))
            raise UserError(f"--fail-if {condition.text!r} concerns no row: expected one of {known}")
        for row, figure in concerned:
            if sentence := _violation(condition, row, figure):
                found.append(sentence)
    return found


def _violation(condition: Condition, row: RowScores, figure: Figure) -> str | None:
    value, compare = figure.interval.value, _OPERATORS[condition.operator]
    if condition.limit is None:
        return _against_other(condition, row, figure)
    if math.isnan(value):
        return f"{row.row}: {figure.name} is undefined, so {condition.text!r} cannot be ruled out"
    if compare(value, condition.limit):
        return f"{row.row}: {_shown(figure.name, value)} meets {condition.text!r}"
    return None


def _against_other(condition: Condition, row: RowScores, figure: Figure) -> str | None:
    comparison = next((found for found in row.comparisons if found.figure == figure.name), None)
    if comparison is None:
        raise UserError(
            f"--fail-if {condition.text!r} compares {row.row} with another run, which has no {figure.name} for it; "
            "give --against DIR of a run that does"
        )
    difference = comparison.difference.value
    if _OPERATORS[condition.operator](difference, 0) and comparison.p_value < _SURE:
        sign = "above" if difference > 0 else "below"
        gap = _shown(figure.name, abs(difference))
        return f"{row.row}: {gap} {sign} {comparison.other}, p = {comparison.p_value:.3g}, meets {condition.text!r}"
    return None


def _shown(figure: str, value: float) -> str:
    unit = unit_of(figure)
    return f"{figure} {value * unit.scale:.{unit.decimals}f}{unit.suffix}"
