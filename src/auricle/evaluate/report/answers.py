"""The worst answers of each row, with what differs and the recording to hear."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

from auricle.evaluate.normalise.interface import Pair
from auricle.evaluate.report.differences import differences
from auricle.evaluate.report.players import Player
from auricle.evaluate.report.tables import anchor
from auricle.evaluate.report.view import Card
from auricle.evaluate.sample import Sample, Task
from auricle.evaluate.scores import RowScores, Scored
from auricle.metrics import edit_counts

_WORD_BY_WORD: tuple[Task, ...] = ("asr", "translation")


def worst(row: RowScores, num: int) -> list[Scored]:
    """At most num answers with an error or a flag, the largest error first; ties by source and id."""
    wrong = [scored for scored in row.answers if scored.error > 0 or scored.flags]
    wrong.sort(key=lambda s: (-s.error, s.answered.sample.source, s.answered.sample.id))
    return wrong[:num]


def recordings(listed: Sequence[Sequence[Scored]]) -> Iterator[Path]:
    """Every row's worst first, then every row's second: no row goes silent while another has all its players."""
    for rank in zip_longest(*listed):
        yield from (scored.answered.sample.audio for scored in rank if scored is not None)


def cards(
    row: RowScores, listed: Sequence[Scored], heard: Mapping[Path, Player], keys: Mapping[Path, str]
) -> list[Card]:
    """One for each listed answer."""
    paths = [scored.answered.sample.audio for scored in listed]
    return [_card(row, scored, heard.get(p), keys.get(p, "")) for scored, p in zip(listed, paths, strict=True)]


def _card(row: RowScores, scored: Scored, player: Player | None, recording: str) -> Card:
    answered, sample = scored.answered, scored.answered.sample
    word_by_word = sample.task in _WORD_BY_WORD
    tight = _tight(scored.pair)
    cells = differences(scored.pair, "" if tight else " ") if word_by_word else None
    return Card(
        row.row,
        anchor(row),
        sample.source,
        sample.id,
        f"{100 * scored.error:.0f} %" if word_by_word else _wrong(sample, scored),
        round(100 * scored.error, 2),
        int(edit_counts(scored.pair.reference, scored.pair.answer)[:3].sum())
        if word_by_word
        else int(scored.error > 0),
        scored.flags,
        tuple(_facts(sample)),
        sample.prompt,
        sample.reference,
        answered.text,
        cells,
        tight,
        answered.failure,
        recording if player and player.data else "",
        player,
    )


def _wrong(sample: Sample, scored: Scored) -> str:
    if sample.task == "chat":
        return f"error {scored.error:.2g}"
    return "wrong" if scored.error else "right"


def _facts(sample: Sample) -> Iterator[str]:
    if sample.speaker:
        yield f"speaker {sample.speaker}"
    if sample.duration_s is not None:
        yield f"{sample.duration_s:.1f} s"
    if sample.language:
        yield f"{sample.language} to {sample.target_language}" if sample.target_language else sample.language


def _tight(pair: Pair) -> bool:
    """Compared by characters: they stand close together."""
    units = pair.reference or pair.answer
    return bool(units) and sum(len(unit) == 1 for unit in units) > 0.7 * len(units)
