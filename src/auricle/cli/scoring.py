"""`eval judge`, `eval score`, `eval report`: what the answers of a run are worth, and the page that says so."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from auricle.cli.bar import progress_bar
from auricle.errors import UserError

if TYPE_CHECKING:
    from auricle.evaluate.folder_scores import ScoredRun
    from auricle.evaluate.gate import Condition

_Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of an `auricle eval run`.")]
_Against = Annotated[Path | None, typer.Option("--against", help="Another run's folder: differences and p-values.")]
_Snr = Annotated[bool, typer.Option("--snr/--no-snr", help="Measure signal-to-noise ratios, for slices.")]
_FailIf = Annotated[
    list[str] | None,
    typer.Option("--fail-if", help="A condition such as 'wer>5' or 'meld.accuracy<0.5': exit 1 if so; repeatable."),
]
_Mode = Annotated[Literal["official", "strict"], typer.Option("--mode", help="Whose figures --fail-if judges.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]
_FAILED = 1


def judge(
    folder: _Folder,
    url: Annotated[str, typer.Option("--url", help="An OpenAI-compatible server; its key is in OPENAI_API_KEY.")],
    judge_model: Annotated[str, typer.Option("--model", "-m", help="The server's name of the model that judges.")],
    temperature: Annotated[
        float, typer.Option(help="Of the judge; the published script's is 1.0, or 2.0 by lot.")
    ] = 0.0,
    batch_size: Annotated[int, typer.Option("--batch-size", help="How many messages are on their way at once.")] = 8,
) -> None:
    """Have AIR-Bench's chats judged in both positions; every reply is kept at once, and asked for once."""
    from auricle.engines import open_engine
    from auricle.evaluate.judged_file import judge_folder

    engine = open_engine(judge_model, engine=url, batch_size=batch_size)
    with progress_bar() as bar:
        task = bar.add_task("judging", total=None)
        found = judge_folder(
            folder,
            engine,
            name=judge_model,
            temperature=temperature,
            watch=lambda done, total: bar.update(task, completed=done, total=total),
        )
    num_failed = sum(item.num_failed for item in found.judged)
    print(f"{len(found.judged):,} answers judged twice, {num_failed:,} replies without scores")
    print(f"next: auricle eval report {folder}")


def score(
    folder: _Folder,
    against: _Against = None,
    snr: _Snr = True,
    fail_if: _FailIf = None,
    mode: _Mode = "official",
    as_json: _Json = False,
) -> None:
    """Score a run's answers, official and strict, with 95 % intervals. Asks no model."""
    conditions = _conditions(fail_if)
    scored = _scored(folder, against, snr)
    if as_json:
        from auricle.evaluate.report.json_report import json_report
        from auricle.evaluate.report.settings import ReportSettings

        found = (scored.run.info, scored.scores, scored.rows, ReportSettings(), scored.reasons)
        print(json_report(*found, num_missing=scored.num_missing))
    else:
        from auricle.evaluate.table import print_scores

        print_scores(scored.scores, scored.rows)
    _judge(scored, conditions, mode)


def report(
    folder: _Folder,
    against: _Against = None,
    snr: _Snr = True,
    fail_if: _FailIf = None,
    mode: _Mode = "official",
    worst: Annotated[int, typer.Option(help="How many of the worst answers of each row are listed.")] = 10,
    players_mb: Annotated[float, typer.Option(help="Room for embedded recordings, in MB; 0 for none.")] = 10.0,
) -> None:
    """Write DIR/report.html, report.md and report.json; scores first what is not scored yet."""
    from auricle.evaluate.report import write_report
    from auricle.evaluate.report.settings import ReportSettings

    settings, conditions = ReportSettings(worst_per_row=worst, players_mb=players_mb), _conditions(fail_if)
    scored = _scored(folder, against, snr)
    paths = write_report(
        folder,
        scored.run.info,
        scored.scores,
        scored.rows,
        settings,
        reasons=scored.reasons,
        num_missing=scored.num_missing,
    )
    print(*paths, sep="\n")
    _judge(scored, conditions, mode)


def _scored(folder: Path, against: Path | None, snr: bool) -> "ScoredRun":
    from auricle.evaluate.folder_scores import ScoreSettings, score_folder

    with progress_bar() as bar:
        task = bar.add_task("measuring recordings", total=None)
        scored = score_folder(
            folder,
            ScoreSettings(against, snr),
            watch=lambda done, total: bar.update(task, completed=done, total=total),
        )
    command = f"auricle eval judge {folder} --url URL --model NAME"
    if not scored.scores:
        raise UserError(f"{folder} has nothing but {scored.num_unjudged:,} answers that wait for a judge: {command}")
    if scored.num_unjudged:
        print(f"auricle: {scored.num_unjudged:,} answers wait for a judge: {command}", file=sys.stderr)
    if scored.num_missing:
        lack = f"{scored.num_missing:,} of {len(scored.run.samples):,} samples have no answer yet"
        print(f"auricle: {lack}: start `auricle eval run` again", file=sys.stderr)
    if against is not None and not any(row.comparisons for row in scored.scores):
        print(f"auricle: --against {against} has nothing that can be compared with {folder}", file=sys.stderr)
    return scored


def _conditions(texts: list[str] | None) -> "list[Condition]":
    """Read before anything is scored: scoring may take long."""
    from auricle.evaluate.gate import parse_condition

    return [parse_condition(text) for text in texts or ()]


def _judge(scored: "ScoredRun", conditions: "list[Condition]", mode: str) -> None:
    """Say which conditions are met or cannot be ruled out, and exit with 1 if any is."""
    from auricle.evaluate.gate import violations

    with_score = {row.row for row in scored.scores}
    unscored = [row for row in scored.rows.values() if row.name not in with_score]
    found = violations(conditions, [row for row in scored.scores if row.mode == mode], unscored)
    for sentence in found:
        print(f"auricle: {sentence}", file=sys.stderr)
    if found:
        raise typer.Exit(_FAILED)
