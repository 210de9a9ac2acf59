"""What a run would learn from, for eyes: packs decoded, what counts in the loss in colour, nothing trained."""

from collections.abc import Iterator
from itertools import groupby, islice

from rich.console import Console
from rich.text import Text

from auricle.data import Pack
from auricle.text import Tokenizer
from auricle.train.run import open_run
from auricle.train.settings import Recipe
from auricle.train.stage import StageName

LEARNT, READ, HEARD = "bold green", "dim", "cyan"
NUM_PACKS = 10


def show_packs(recipe: Recipe, stage: StageName, console: Console) -> None:
    """Print ten packs of the run as its first steps would read them, then what was refused.

    Raises:
        UserError: whatever would keep the run from starting.
    """
    with open_run(recipe, stage) as run:
        for note in run.notes:
            console.print(note, style="yellow")
        packs = islice((pack for step in run.stream for pack in step.packs), NUM_PACKS)
        for number, pack in enumerate(packs):
            console.rule(f"pack {number}: {describe(pack)}")
            for line in sequences(pack, run.tokenizer, run.audio_id):
                console.print(line, soft_wrap=True)
            for refusal in pack.refused:
                console.print(f"refused: {refusal.why}", style="yellow")
    console.print(Text.assemble("colours: ", ("learnt", LEARNT), ", ", ("read", READ), ", ", ("heard", HEARD)))


def describe(pack: Pack) -> str:
    """Its counts in one line."""
    return (
        f"{len(pack.labels)} sequences, {len(pack.inputs.ids)} tokens, {len(pack.targets)} learnt, "
        f"{pack.audio_s:.1f} s of sound"
    )


def sequences(pack: Pack, tokenizer: Tokenizer, audio_id: int) -> Iterator[Text]:
    """One line a sequence: its name, then its tokens; a run of audio tokens is written as `<|AUDIO|> x 82`."""
    learnt = {place + 1 for place in pack.places.tolist()}  # the token after the place that predicts it
    start = 0
    for length, label in zip(pack.inputs.lengths, pack.labels, strict=True):
        line = Text(f"[{label.task}] {label.where} ", style="blue")
        tokens = [
            (token, LEARNT if place in learnt else HEARD if token == audio_id else READ)
            for place, token in enumerate(pack.inputs.ids[start : start + length].tolist(), start=start)
        ]
        for style, run in groupby(tokens, key=lambda token: token[1]):
            ids = [token for token, _ in run]
            text = f"<|AUDIO|> x {len(ids)}" if style == HEARD else "".join(map(tokenizer.name, ids))
            line.append(text.replace("Ġ", " ").replace("Ċ", "⏎"), style=style)
        yield line
        start += length
