"""`data download` and `data prepare NAME --from DIR`: what is evaluated on, from its publisher to a list of samples."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auricle.errors import UserError

if TYPE_CHECKING:
    from auricle.evaluate.datasets.catalogue import Dataset
    from auricle.evaluate.sample import Sample


def download(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set, or official-lists.")],
    to: Annotated[
        Path | None, typer.Option("--to", help="A folder; else NAME in $AURICLE_DATA or ~/.cache/auricle/data.")
    ] = None,
) -> None:
    """Download what a data set's publisher offers, list its samples for `eval run`, and say what is left to do.

    Started again after a kill, it goes on where it was; what is there already is left as it is.
    """
    from auricle.evaluate.datasets.catalogue import OFFICIAL_LISTS, dataset_named
    from auricle.evaluate.datasets.catalogue import download as fetched
    from auricle.evaluate.download import data_home
    from auricle.evaluate.tasks import LIST_NAME

    folder = to or data_home() / name
    if name == OFFICIAL_LISTS:
        _download_lists(folder)
        return
    dataset = dataset_named(name)
    print(f"{dataset.title} ({dataset.licence}); {dataset.home_page}")
    with _progress(name) as watch:
        fetched(dataset, folder, watch)
    for file in dataset.files:
        if not file.has_checksum:
            print(f"{file.name}: checksum not published, {(folder / file.name).stat().st_size:,} bytes came")
    try:
        samples = dataset.read(folder)
    except UserError as error:
        if dataset.is_whole:
            raise
        print(f"not complete: {error}")
        print(f"next: {dataset.how_to_get}; then auricle data prepare {name} --from {folder}")
        return
    _write(dataset, samples, folder / LIST_NAME, is_default=to is None)


def prepare_list(names: Sequence[Path], source: Path, out: Path | None) -> None:
    """Read a data set in its publisher's layout, write the list of its samples, and count them beside the table.

    Raises:
        UserError: not one name, no such data set, or the folder does not hold it.
    """
    from auricle.evaluate.datasets.catalogue import dataset_named
    from auricle.evaluate.download import data_home
    from auricle.evaluate.tasks import LIST_NAME

    if len(names) != 1:
        raise UserError(f"--from is for one data set: got {', '.join(map(str, names))}; prepare one after another")
    dataset = dataset_named(str(names[0]))
    if not source.is_dir():
        raise UserError(f"there is no folder {source}; give the one that holds {dataset.name} as it was published")
    default = data_home() / dataset.name / LIST_NAME
    _write(dataset, dataset.read(source), out or default, is_default=out is None)


def _download_lists(folder: Path) -> None:
    from auricle.evaluate.datasets.catalogue import OFFICIAL_LIST_FILES, OFFICIAL_LISTS
    from auricle.evaluate.download import fetch

    with _progress(OFFICIAL_LISTS) as watch:
        for file in OFFICIAL_LIST_FILES:
            fetch(file, folder, watch=watch)
    for file in OFFICIAL_LIST_FILES:
        print(folder / file.name)
    print("checksums of the lists are not published")
    print("next: auricle eval run --list FILE --audio-root DIR, DIR with the recordings of their publisher")


def _write(dataset: "Dataset", samples: "Sequence[Sample]", path: Path, *, is_default: bool) -> None:
    """The list, with whole paths, so that it may be read from anywhere; what is in it, and what comes next."""
    from auricle.evaluate.tasks import write_list

    whole = [replace(sample, audio=Path(os.path.abspath(sample.audio))) for sample in samples]
    write_list(dataset.name, whole, path)
    if dataset.facts is None:
        _print_counts(samples)
    else:
        print(dataset.facts(samples), end="")
    print(f"wrote {len(samples):,} samples to {path}")
    print(f"next: auricle eval run {dataset.name if is_default else f'--list {path}'} --model MODEL --out DIR")


def _print_counts(samples: "Sequence[Sample]") -> None:
    from auricle.evaluate.rows import row_remarks, rows_for

    for row in rows_for(samples):
        of_row = [sample for sample in samples if sample.source in row.sources]
        as_published = ", as published" if len(of_row) == row.count else ""
        told = row_remarks(row, of_row, limit=None) or [f"{len(of_row):,} samples{as_published}"]
        print(f"{row.name}: {'; '.join(told)}")


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar of bytes on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(name, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)
