"""One benchmark run: the export both sides load, the recordings, and every measurement asked for."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from auricle.bench.clips import read_clips, synthetic_clips
from auricle.bench.machine import describe_machine
from auricle.bench.measures import (
    Bench,
    best_plans,
    measure_clips,
    measure_decode,
    measure_encoder,
    measure_first_token,
    measure_mel,
)
from auricle.bench.processes import measure_memory, measure_start
from auricle.bench.report import Report
from auricle.bench.settings import Settings
from auricle.bench.sides import import_side
from auricle.bench.theirs import require_transformers
from auricle.bench.timing import Measurement
from auricle.weights import export_checkpoint, locate


def run(settings: Settings, say: Callable[[str], None]) -> Report:
    """Measure; `say` is told what is being done.

    Raises:
        UserError: no such model, a recording that cannot be used, or transformers is not installed.
    """
    clips = read_clips(settings.clips, settings.num_clips) if settings.clips else synthetic_clips(settings.num_clips)
    source = locate(settings.model)
    require_transformers()
    machine = describe_machine()
    with TemporaryDirectory() as scratch:
        say(f"exporting {settings.model} in float32")
        directory = Path(scratch) / "model"
        export_checkpoint(source, directory, dtype=torch.float32)
        return Report(machine, settings, list(_measure(settings, directory, clips, say)))


def _measure(
    settings: Settings, directory: Path, clips: list[np.ndarray], say: Callable[[str], None]
) -> Iterator[Measurement]:
    if settings.wants("start"):
        yield from measure_start(directory, settings.rounds, say)
    say("loading both sides")
    bench = Bench(
        ours=import_side("ours")(str(directory)),
        theirs=import_side("theirs")(str(directory)),
        clips=clips,
        rounds=settings.rounds,
        num_tokens=settings.num_tokens,
        batch_sizes=settings.batch_sizes,
        say=say,
    )
    measures = {
        "mel": measure_mel,
        "encoder": measure_encoder,
        "first-token": measure_first_token,
        "decode": measure_decode,
    }
    for name, measure in measures.items():
        if settings.wants(name):
            yield from measure(bench)
    if settings.wants("clips") or settings.wants("memory"):
        best = best_plans(bench)
        if settings.wants("clips"):
            yield from measure_clips(bench, best)
        if settings.wants("memory"):
            plans = {name: plan for name, (plan, _, _) in best.items()}
            yield from measure_memory(directory, clips, plans, settings.num_tokens, settings.rounds, say)
