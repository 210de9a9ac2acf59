"""Stage 2's ratios: how often each record is drawn, so that modes, complexity and lengths stand as stated."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from auricle.data.complexity import COMPLEXITIES, LONG_ANSWER_WORDS, judge_complexity, num_words
from auricle.data.durations import duration_s
from auricle.data.modes import kind_of
from auricle.data.records import Dialogue, Labelled, Record, Recording
from auricle.data.settings import BalanceSettings
from auricle.data.source import Source
from auricle.data.tasks import task_named
from auricle.errors import UserError

SHORT_S, LONG_S = 30.0, 120.0  # the brief's short is under 30 s, its long 2 to 5 min
_ROUNDS = 100
_NEAR = 0.005  # a share that is so near the stated one is met


class Cell(NamedTuple):
    """What a record is. length: of its longest recording: short, medium or long; `none` without any."""

    length: str
    mode: str
    complexity: str


_CLASSES = {
    "length": ("short", "medium", "long"),
    "mode": ("analysis", "voice chat", "interleaved", "text"),
    "complexity": COMPLEXITIES,
}


@dataclass(frozen=True, slots=True)
class Balance:
    """sources: the same, with weights of their own and of their records.

    counts, stated and expected: by axis and class, records, shares asked for and shares of the draws to come.
    shortfalls: a sentence for each share that the data cannot give.
    """

    sources: tuple[Source, ...]
    counts: dict[str, dict[str, int]]
    stated: dict[str, dict[str, float]]
    expected: dict[str, dict[str, float]]
    shortfalls: tuple[str, ...]


def cell_of(record: Record) -> Cell:
    """The classes of a record; a labelled recording is analysis and simple, a spoken request a voice chat.

    Raises:
        UserError: the record is a preference, its complexity is neither simple nor complex, or the length of
            a recording is stated nowhere and it cannot be decoded.
    """
    length = _length(record.recordings)
    if isinstance(record, Labelled):
        if task_named(record.task).name != "voice_chat":
            return Cell(length, "analysis", "simple")
        return Cell(length, "voice chat", "complex" if num_words(record.target) >= LONG_ANSWER_WORDS else "simple")
    if not isinstance(record, Dialogue):
        raise UserError(f"{record.where}: a preference has no mode; give the line to dpo")
    if record.complexity is not None and record.complexity not in COMPLEXITIES:
        raise UserError(f"{record.where}: complexity {record.complexity!r}, expected {' or '.join(COMPLEXITIES)}")
    return Cell(length, kind_of(record), record.complexity or judge_complexity(record.messages))


def balanced(sources: Sequence[Source], settings: BalanceSettings | None = None) -> Balance:
    """Weights under which the draws have the stated shares, as near to the sources' own weights as they allow.

    Iterative proportional fitting (Deming and Stephan 1940) over the classes that the data have, within
    `most_change`. A line that cannot be read or judged keeps its weight, so that it is drawn and named.

    Args:
        sources: every record is read once; headers of recordings whose length no line states, too.
        settings: None for the defaults.

    Raises:
        UserError: there is no record at all whose classes can be told.
    """
    settings = settings or BalanceSettings()
    cells = [[_readable_cell(source, place) for place in range(len(source.records))] for source in sources]
    natural: dict[Cell, float] = {}
    counts: dict[Cell, int] = {}
    for source, of_source in zip(sources, cells, strict=True):
        own = _own_weights(source)
        per_unit = source.weight / sum(own)
        for cell, weight in zip(of_source, own, strict=True):
            if cell is not None:
                natural[cell] = natural.get(cell, 0.0) + weight * per_unit
                counts[cell] = counts.get(cell, 0) + 1
    if not natural:
        raise UserError("no record of the data can be read, so nothing can be balanced; see auricle data validate")
    total = sum(natural.values())
    natural = {cell: weight / total for cell, weight in natural.items()}
    stated = _stated(natural, settings)
    fitted = _fit(natural, stated, settings.most_change)
    factor: dict[Cell | None, float] = {cell: fitted[cell] / natural[cell] for cell in natural}
    weighted = tuple(
        _reweighted(source, [factor.get(cell, 1.0) for cell in of_source])
        for source, of_source in zip(sources, cells, strict=True)
    )
    numbers = {axis: _marginal(counts, axis) for axis in _CLASSES}
    expected = {axis: _marginal(fitted, axis) for axis in _CLASSES}
    return Balance(
        weighted,
        {axis: {name: int(number) for name, number in of.items()} for axis, of in numbers.items()},
        stated,
        expected,
        tuple(_shortfalls(settings, stated, expected)),
    )


def _readable_cell(source: Source, place: int) -> Cell | None:
    try:
        return cell_of(source.records[place])
    except UserError:
        return None


def _length(recordings: Sequence[Recording]) -> str:
    if not recordings:
        return "none"
    longest_s = max(duration_s(part) if part.duration_s is None else part.duration_s for part in recordings)
    return "short" if longest_s < SHORT_S else "medium" if longest_s < LONG_S else "long"


def _asked(settings: BalanceSettings, axis: str) -> dict[str, float]:
    """By class, adding up to 1."""
    shares = getattr(settings, axis)
    return {name: share / sum(shares) for name, share in zip(_CLASSES[axis], shares, strict=True)}


def _stated(natural: Mapping[Cell, float], settings: BalanceSettings) -> dict[str, dict[str, float]]:
    """What is asked of the classes that there are; lengths share what the conversations without sound leave."""
    stated: dict[str, dict[str, float]] = {}
    for axis in ("mode", "complexity", "length"):
        asked = {name: share for name, share in _asked(settings, axis).items() if _marginal(natural, axis).get(name)}
        whole = 1 - (_silent_share(natural, stated["mode"]) if axis == "length" else 0.0)
        stated[axis] = {name: whole * share / sum(asked.values()) for name, share in asked.items()}
        if axis == "length" and whole < 1:
            stated[axis]["none"] = 1 - whole
    return stated


def _silent_share(natural: Mapping[Cell, float], modes: Mapping[str, float]) -> float:
    return modes.get("text", 0.0) if any(cell.length == "none" for cell in natural) else 0.0


def _fit(
    natural: Mapping[Cell, float], stated: Mapping[str, Mapping[str, float]], most_change: float
) -> dict[Cell, float]:
    fitted = last = dict(natural)
    for _ in range(_ROUNDS):
        for axis, asked in stated.items():
            now = _marginal(fitted, axis)
            fitted = {cell: mass * asked[_class(cell, axis)] / now[_class(cell, axis)] for cell, mass in fitted.items()}
        fitted = _within(fitted, natural, most_change)
        if all(math.isclose(mass, last[cell], rel_tol=1e-9) for cell, mass in fitted.items()):
            break
        last = fitted
    return fitted


def _within(fitted: Mapping[Cell, float], natural: Mapping[Cell, float], most_change: float) -> dict[Cell, float]:
    """Shares scaled to add up to 1 after each is held within its bounds; the scale is found by bisection."""
    held = dict(fitted)
    if all(natural[cell] / most_change <= mass <= natural[cell] * most_change for cell, mass in fitted.items()):
        return held
    low, high = math.log(1e-12), math.log(1e12)
    for _ in range(50):
        scale = math.exp((low + high) / 2)
        held = {
            cell: min(max(scale * mass, natural[cell] / most_change), natural[cell] * most_change)
            for cell, mass in fitted.items()
        }
        low, high = (low, (low + high) / 2) if sum(held.values()) > 1 else ((low + high) / 2, high)
    return held


def _class(cell: Cell, axis: str) -> str:
    return str(getattr(cell, axis))


def _marginal(masses: Mapping[Cell, float], axis: str) -> dict[str, float]:
    """By class, those of the axis's order first."""
    found = dict.fromkeys(_CLASSES[axis], 0.0)
    for cell, mass in masses.items():
        found[_class(cell, axis)] = found.get(_class(cell, axis), 0.0) + mass
    return {name: mass for name, mass in found.items() if mass or name in _CLASSES[axis]}


def _own_weights(source: Source) -> Sequence[float]:
    return [1.0] * len(source.records) if source.record_weights is None else source.record_weights


def _reweighted(source: Source, factors: Sequence[float]) -> Source:
    own = _own_weights(source)
    weights = [weight * factor for weight, factor in zip(own, factors, strict=True)]
    return Source(source.name, source.records, source.weight * sum(weights) / sum(own), weights)


def _shortfalls(
    settings: BalanceSettings, stated: Mapping[str, Mapping[str, float]], expected: Mapping[str, Mapping[str, float]]
) -> list[str]:
    sentences = []
    for axis in _CLASSES:
        for name, share in _asked(settings, axis).items():
            got = expected[axis][name]
            if name not in stated[axis]:
                sentences.append(f"{axis}: no record is {name}, its {share:.0%} go to the others")
            elif abs(got - stated[axis][name]) > _NEAR:
                sentences.append(
                    f"{axis}: {name} gets {got:.1%} of the draws, not {stated[axis][name]:.1%}: the classes of the "
                    f"records do not allow it within a change of {settings.most_change:g} times"
                )
    return sentences
