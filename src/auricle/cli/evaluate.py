"""`eval run`: answers of a model to what is evaluated."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from auricle.cli import scoring
from auricle.cli.options import DecodingFlags, ModelFlags, flag_groups

app = typer.Typer(help="Evaluate a model: run, score, report.", no_args_is_help=True)

_TASKS = typer.Argument(
    metavar="TASK...",
    help="A data set (librispeech, debian-speech), a row (librispeech_test_clean), a glob over sources "
    "('debian-speech/asterisk_*'), or a list (.jsonl).",
)


@dataclass(frozen=True)
class EvaluatedFlags(ModelFlags):
    """Which model is evaluated."""

    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            help="native, transformers, vllm, faster-whisper, or the URL of an OpenAI-compatible server.",
        ),
    ] = "native"


@app.callback()
def _group() -> None:
    """Evaluate a model: run, score, report."""


@app.command("run")
@flag_groups
def run(
    model: EvaluatedFlags,
    decoding: DecodingFlags,
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's folder; a run that was stopped goes on in it.")],
    tasks: Annotated[list[str] | None, _TASKS] = None,
    limit: Annotated[int | None, typer.Option(help="So many samples of each source, spread over it.")] = None,
    processes: Annotated[int, typer.Option(help="How many load the model and answer; a GPU each.")] = 1,
    prompt: Annotated[
        Literal["auto", "raw", "chat"],
        typer.Option(help="raw, as the base model is evaluated; chat, the template; auto: chat for AIR-Bench only."),
    ] = "auto",
    list_file: Annotated[Path | None, typer.Option("--list", help="An official list, or one like it.")] = None,
    audio_root: Annotated[Path | None, typer.Option(help="Where the recordings of a list lie.")] = None,
    data: Annotated[Path | None, typer.Option(help="Holds a folder for each data set; $AURICLE_DATA.")] = None,
) -> None:
    """Ask the model everything, greedily, at most 256 tokens, as the published scripts; every answer is kept at once.

    Started again with the same settings, it goes on; another batch size or process count changes nothing.
    """
    from auricle.evaluate.opener import open_model
    from auricle.evaluate.progress import Progress
    from auricle.evaluate.requests import OFFICIAL
    from auricle.evaluate.run import run as answer
    from auricle.evaluate.run import summary
    from auricle.evaluate.tasks import count_remarks, find_samples

    sampling = decoding.over(OFFICIAL)
    with Progress() as progress:
        samples = find_samples(
            tasks or [], list_file=list_file, audio_root=audio_root, data=data, watch=progress.fetched
        )
        for sentence in count_remarks(samples):
            progress.say(sentence)
        opener = open_model(**vars(model), prompt=prompt, sampling=sampling)
        folder = answer(samples, opener, out, limit=limit, num_processes=processes, progress=progress)
    for sentence in summary(folder):
        print(sentence)


app.command("judge")(scoring.judge)
app.command("score")(scoring.score)
app.command("report")(scoring.report)
