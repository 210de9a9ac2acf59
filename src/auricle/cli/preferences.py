"""`data rollout` and `data confusions`: preferences for `train dpo`, out of prompts with references."""

from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from auricle.cli.options import ModelFlags, flag_groups

_Paths = Annotated[list[Path], typer.Argument(help="Data sets in any form that `data validate` reads.")]
_Out = Annotated[Path, typer.Option("--out", "-o", help="The preference manifest to write.")]
_Task = Annotated[str | None, typer.Option(help="Of recordings whose lines name none, for example emotion; else asr.")]


@flag_groups
def rollout(
    data: _Paths,
    model: ModelFlags,
    out: _Out,
    num: Annotated[int, typer.Option(help="Answers drawn to each prompt.")] = 8,
    temperature: Annotated[float, typer.Option(help="Higher makes answers differ more.")] = 0.8,
    top_p: Annotated[float, typer.Option(help="Draw from the fewest tokens of this probability.")] = 1.0,
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer, in tokens.")] = 256,
    margin: Annotated[float, typer.Option(help="Least difference of a pair's scores, 0 to 1.")] = 0.1,
    length_tolerance: Annotated[
        float | None, typer.Option(help="Only pairs whose tokens differ by at most this share of the longer.")
    ] = None,
    judge: Annotated[str | None, typer.Option(help="URL of an OpenAI-compatible server that judges as well.")] = None,
    judge_model: Annotated[str, typer.Option(help="Its name of the model that judges.")] = "",
    judge_dimension: Annotated[
        str, typer.Option(help="What it judges: factual, safety, helpfulness...")
    ] = "helpfulness",
    task: _Task = None,
    seed: Annotated[int, typer.Option(help="Of all draws.")] = 0,
) -> None:
    """Draw answers to every prompt, judge them, keep the best and the worst; started again, it goes on."""
    from rich.console import Console
    from rich.progress import Progress

    from auricle.data.manifest import open_records
    from auricle.data.modes import sft_make
    from auricle.data.prompts import read_bank
    from auricle.data.voice_chat import VoiceSettings
    from auricle.engines import open_engine
    from auricle.train.judges import verifiable
    from auricle.train.model_judge import open_judge
    from auricle.train.rollouts import RolloutReport, RolloutSettings
    from auricle.train.rollouts import rollout as run

    settings = RolloutSettings(num, temperature, top_p, max_new_tokens, margin, length_tolerance, seed)
    records = [open_records(path, task=task) for path in data]
    asked = open_judge(judge, judge_model, judge_dimension, out.with_suffix(".judged.sqlite"))
    with Progress(console=Console(stderr=True), redirect_stdout=False, transient=True) as progress:
        bar = progress.add_task("drawing", total=sum(map(len, records)))

        def done(report: RolloutReport) -> None:
            progress.update(bar, completed=report.outcomes.total(), description=f"{report.outcomes['kept']:,} pairs")

        report = run(
            chain.from_iterable(records),
            engine=open_engine(**vars(model)),
            model=f"{model.model} {judge_model}".strip(),
            make=sft_make(read_bank(), voice=VoiceSettings(join=0.0, interrupt=0.0, filler=0.0)),
            judges=[*verifiable(), *asked],
            settings=settings,
            out=out,
            done=done,
        )
    print(report.to_text())
    for dimension, other in asked:
        print(f"{other.num_failed:,} answers could not be judged in {dimension} by {judge_model}")


@flag_groups
def confusions(
    data: _Paths,
    model: ModelFlags,
    out: _Out,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="swaps, mishearings, tones, noisy or misheard; may be repeated. The first two unless given."),
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Most that two answers' tokens differ by, of the longer.")] = 0.1,
    noise: Annotated[
        Path | None, typer.Option(help="A folder of noise recordings; coloured noise unless given.")
    ] = None,
    snr_db: Annotated[tuple[float, float], typer.Option(help="Lowest and highest ratio of speech to noise.")] = (0, 10),
    task: _Task = None,
    seed: Annotated[int, typer.Option(help="Of all draws.")] = 0,
) -> None:
    """Make preferences that only one who hears can have, of recordings with transcripts."""
    from auricle.data.manifest import open_records
    from auricle.engines import open_engine
    from auricle.text import Tokenizer
    from auricle.train.confusions import ConfusionSettings
    from auricle.train.confusions import confusions as make
    from auricle.weights import locate

    settings = ConfusionSettings(tuple(kind or ("swaps", "mishearings")), tolerance, snr_db, noise, seed)
    tokenizer = Tokenizer.from_file(locate(model.model, model.revision) / "tokenizer.json")
    made = make(
        chain.from_iterable(open_records(path, task=task) for path in data),
        out,
        length=lambda text: len(tokenizer.encode(text)),
        settings=settings,
        engine=open_engine(**vars(model)) if "misheard" in settings.kinds else None,
    )
    print(f"{made.total():,} pairs: " + ", ".join(f"{name} {count:,}" for name, count in made.items()))
