"""`data`: whether it is sound, what is in it, what augmentation does to it, what is worth learning; data sets."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from auricle.cli.bar import progress_bar
from auricle.cli.datasets import prepare_list
from auricle.errors import UserError

app = typer.Typer(
    help="Data to train on: check, count, hear, filter, make preferences. Data to evaluate on: download, prepare.",
    no_args_is_help=True,
)
_Paths = Annotated[
    list[Path],
    typer.Argument(help="A file of JSON lines, tar shards ('train-{0000..0012}.tar'), or a folder of recordings."),
]
_Task = Annotated[str | None, typer.Option(help="Of recordings whose lines name none, for example emotion; else asr.")]
_Settings = Annotated[list[str] | None, typer.Option("--set", help="key=value; may be repeated.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


@app.command()
def validate(
    data: _Paths,
    task: _Task = None,
    max_shown: Annotated[int, typer.Option(min=0, help="How many problems are printed; all are counted.")] = 100,
    as_json: _Json = False,
) -> None:
    """Read every line and decode every recording; name all that is wrong, and exit with 2 if anything is."""
    from auricle.data.validate import validate as check

    report = None
    try:
        with progress_bar() as progress:
            bar = progress.add_task("checking", total=None)
            for report in check(data, task=task, max_shown=max_shown):
                found = f"checking, {report.num_problems:,} problems"
                progress.update(bar, description=found, total=report.total, completed=report.num_records)
    finally:  # what was found is printed after Ctrl-C too
        if report is not None:
            print(json.dumps(report.to_json(), ensure_ascii=False) if as_json else report.to_text())
    if report is not None and report.num_problems:
        raise UserError(
            f"the data have {report.num_problems:,} problems; expected none, mend what is named or leave it out"
        )


@app.command()
def stats(data: _Paths, task: _Task = None, as_json: _Json = False) -> None:
    """Count records, hours, speakers, words and turns, by source, task, language and kind."""
    from rich.console import Console

    from auricle.data.stats import collect

    with progress_bar() as progress:
        bar = progress.add_task("counting", total=None)
        found = collect(data, task=task, watch=lambda done, total: progress.update(bar, completed=done, total=total))
    if as_json:
        print(json.dumps(asdict(found), ensure_ascii=False))
        return
    Console().print(found.to_table())
    print(*found.to_lines(), sep="\n")


@app.command()
def listen(
    data: _Paths,
    out: Annotated[Path, typer.Option("--out", help="A folder for wav, png and index.html.")],
    num: Annotated[int, typer.Option(min=1, help="How many recordings.")] = 8,
    seed: Annotated[int, typer.Option(help="The same seed, the same recordings and changes.")] = 0,
    task: _Task = None,
    settings: _Settings = None,
) -> None:
    """Write recordings before and after augmentation, with mel pictures; --set snr_db=[5,20] changes a range."""
    from auricle.data.listen import listen_samples
    from auricle.data.manifest import open_records
    from auricle.data.settings import AugmentSettings
    from auricle.settings import read_settings

    chosen = read_settings(AugmentSettings(), overrides=settings or [])
    records = [record for path in data for record in open_records(path, task=task)]
    listen_samples(records, out, num=num, seed=seed, settings=chosen)
    print(out / "index.html")


@app.command()
def prepare(
    data: _Paths,
    out: Annotated[
        Path | None, typer.Option("--out", help="The manifest to write; with --from, the list, if not the usual one.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="DATA is the name of a data set to evaluate on; list its samples in this folder."),
    ] = None,
    task: _Task = None,
    settings: _Settings = None,
    as_json: _Json = False,
) -> None:
    """Leave out what is too poor to learn from, and say what and why; --set quality.min_snr_db=10 moves a limit.

    With --from it lists what is evaluated on instead: data prepare librispeech --from DIR.
    """
    if source is not None:
        if task or settings or as_json:
            raise UserError("--from takes no --task, --set or --json; leave them out, they are for training data")
        prepare_list(data, source, out)
        return
    if out is None:
        raise UserError("data prepare needs --out FILE, the manifest to write; or --from DIR, to list a data set")
    from auricle.data.prepare import PrepareSettings
    from auricle.data.prepare import prepare as filtered
    from auricle.settings import read_settings

    chosen = read_settings(PrepareSettings(), overrides=settings or [])
    with progress_bar() as progress:
        bar = progress.add_task("measuring", total=None)
        report = filtered(
            data, out, chosen, task=task, watch=lambda done, total: progress.update(bar, completed=done, total=total)
        )
    print(json.dumps(report.to_json(), ensure_ascii=False) if as_json else report.to_text())
