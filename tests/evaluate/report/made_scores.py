"""Scores made by hand: every figure in them is a round number, so that a test can say what a report must show."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from auricle.conversation import Sampling
from auricle.evaluate.normalise.interface import ModeName, Pair
from auricle.evaluate.published import ROWS, Row
from auricle.evaluate.run_info import RunInfo
from auricle.evaluate.sample import Answered, Sample, Task
from auricle.evaluate.scores import Comparison, Figure, RowScores, Scored, Slice
from auricle.metrics.counts import Interval

NASTY = """</script><img src=x onerror="alert('1')"> & "quoted" | `code` {{ 7 * 7 }}"""
OWN = Row("own_words", "own", ("own_words",), "wer")
MORE = Row("own_numbers", "own", ("own_numbers",), "wer")
ROWS_BY_NAME = {row.name: row for row in (*ROWS, OWN, MORE)}
INFO = RunInfo(
    model="organisation/Some-Model",
    model_hash="ab12" * 16,
    engine="native",
    dtype="float32",
    prompt_form="raw",
    sampling=Sampling(),
    limit=None,
    versions=(("auricle", "0.1.0"), ("torch", "2.13.0")),
    machine="2 cores",
    started="2026-11-22 19:00 UTC",
    audio_s=7200.0,
    took_s=600.0,
    remarks=("A remark with <b>signs</b>.",),
)


def scores(recordings: Sequence[Path]) -> list[RowScores]:
    """Six rows in both modes; the strict ones are 10 points worse where they count errors."""
    return [row for mode in ("official", "strict") for row in _mode(mode, list(recordings))]


def info(**changes: object) -> RunInfo:
    return replace(INFO, **changes)  # type: ignore[arg-type]


def _mode(mode: ModeName, recordings: list[Path]) -> list[RowScores]:
    worse = 0.1 if mode == "strict" else 0.0
    wer = Figure("wer", Interval(0.0168 + worse, 0.0152 + worse, 0.0184 + worse, 40), primary=True)
    edits = (("substitutions", 30), ("insertions", 10), ("deletions", 20), ("reference_words", 1000))
    return [
        RowScores(
            "librispeech_dev_clean",
            mode,
            2694,
            19440.0,
            (wer, Figure("cer", Interval(0.005, 0.004, 0.006, 40))),
            (*edits, ("empty", 3), ("runaway", 1), ("cut_off", 2), ("failed", 0)),
            "speaker",
            (
                Slice("duration", "under 2 s", 100, Figure("wer", Interval(0.03, 0.02, 0.04, 30))),
                Slice("duration", "2 to 5 s", 200, Figure("wer", Interval(0.01, 0.005, 0.015, 30))),
                Slice("speaker", "s1", 50, Figure("wer", Interval(0.02, 0.01, 0.03, 1))),
                Slice("speaker", "s2", 50, Figure("wer", Interval(float("nan"), float("nan"), float("nan"), 1))),
            ),
            comparisons=(Comparison("runs/other", "wer", 2600, Interval(-0.01, -0.015, -0.005, 40), 0.01),),
            remarks=("a remark on the row",),
            answers=_transcripts(recordings),
        ),
        RowScores(
            "own_words",
            mode,
            8,
            36.0,
            (Figure("wer", Interval(0.5 + worse, 0.4 + worse, 0.6 + worse, 8), primary=True),),
            (*edits, ("empty", 0)),
            "utterance",
            comparisons=(Comparison("runs/other", "wer", 8, Interval(0.02, -0.01, 0.05, 8), 0.4),),
            remarks=("a remark on the row", "one speaker only"),
            answers=(_scored("w1", recordings[0], "asr", "own_words", ("今", "天"), ("今", "夫"), 0.5),),
        ),
        RowScores(
            "own_numbers",
            mode,
            9,
            40.0,
            (Figure("wer", Interval(0.25, 0.2, 0.3, 9), primary=True),),
            (),
            "utterance",
            comparisons=(Comparison("runs/other", "wer", 9, Interval(-0.03, -0.05, -0.01, 9), 0.04),),
        ),
        RowScores(
            "covost2_en_zh",
            mode,
            30984,
            145800.0,
            (Figure("bleu", Interval(45.0, 44.0, 45.55, 500), primary=True),),
            (("empty", 0),),
            "speaker",
        ),
        RowScores(
            "meld",
            mode,
            3716,
            11148.0,
            (
                Figure("accuracy", Interval(0.55, 0.54, 0.56, 200), primary=True),
                Figure("macro_f1", Interval(0.4, 0.39, 0.41, 200)),
            ),
            (("unparsed", 7),),
            "speaker",
            confusions=(("joy", "joy", 30), ("joy", "anger", 10), ("anger", "anger", 50), ("anger", "(unparsed)", 7)),
            answers=(_scored("m1", recordings[1], "emotion", "meld_dev", ("joy",), ("anger",), 1.0),),
        ),
        RowScores(
            "airbench_sound",
            mode,
            400,
            4000.0,
            (Figure("judge", Interval(6.5, 6.0, 6.8, 400), primary=True),),
            (),
            "utterance",
        ),
    ]


def _transcripts(recordings: list[Path]) -> tuple[Scored, ...]:
    row, missing = "librispeech_dev_clean", recordings[0].with_name("missing.wav")
    return (
        _scored("right", recordings[0], "asr", row, ("fine",), ("fine",), 0.0),
        _scored("small", recordings[1], "asr", row, tuple("abcd"), tuple("axcd"), 0.25),
        _scored(
            "runs", recordings[2], "asr", row, ("stop",), ("stop", *("thank", "you") * 5), 10.0, ("runaway", "cut off")
        ),
        _scored("empty", recordings[1], "asr", row, ("hello", "there"), (), 1.0, ("empty",)),
        _scored("nasty", recordings[0], "asr", row, ("x",), tuple(NASTY.split()), 8.0),
        _scored("arabic", recordings[0], "asr", row, ("مرحبا", "بكم"), ("مرحبا",), 0.5),
        _scored("gone", missing, "asr", row, ("who", "knows"), (), 1.0, ("failed",), failure="cannot hear missing.wav"),
    )


def _scored(
    id: str,
    audio: Path,
    task: Task,
    source: str,
    reference: tuple[str, ...],
    answer: tuple[str, ...],
    error: float,
    flags: tuple[str, ...] = (),
    failure: str | None = None,
) -> Scored:
    sample = Sample(id, source, source, task, audio, "Say it: <|en|>", " ".join(reference), "en", None, "s1", 2.5)
    return Scored(
        Answered(sample, " ".join(answer), len(answer), "stop", failure), Pair(reference, answer), error, flags
    )
