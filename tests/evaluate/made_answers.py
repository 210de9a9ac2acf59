"""Made-up answers of tests, and how to find a row and its figures among scores."""

from collections.abc import Sequence
from pathlib import Path

from auricle.evaluate.sample import Answered, Sample, Task
from auricle.evaluate.scores import RowScores


def answered(
    reference: str,
    text: str,
    *,
    number: int = 0,
    source: str = "asterisk_en",
    task: Task = "asr",
    language: str = "en",
    target_language: str | None = None,
    speaker: str | None = None,
    duration_s: float | None = 2.0,
    labels: tuple[str, ...] = (),
    failure: str | None = None,
) -> Answered:
    audio = Path(f"{source}-{number}.wav")
    sample = Sample(
        f"{number}",
        "made",
        source,
        task,
        audio,
        "?",
        reference,
        language,
        target_language,
        speaker,
        duration_s,
        labels,
    )
    return Answered(sample, text, failure=failure)


def one(scores: Sequence[RowScores], row: str, mode: str = "official") -> RowScores:
    [found] = [scored for scored in scores if scored.row == row and scored.mode == mode]
    return found


def values(row: RowScores) -> dict[str, float]:
    return {figure.name: figure.interval.value for figure in row.figures}


def labelled(right: str, text: str, number: int, source: str = "meld_test") -> Answered:
    return answered(
        right,
        text,
        number=number,
        source=source,
        task="emotion",
        labels=("joy", "anger", "neutral"),
        speaker=f"{number}",
    )
