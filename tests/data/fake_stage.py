"""A stage without recordings: a record's target says how many tokens it measures and what goes wrong with it."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from auricle.conversation import RawPrompt
from auricle.data import Example, Group, Label, Labelled, Pack
from auricle.data.stream import Source, Stream
from auricle.errors import UserError
from auricle.prepare import Prepared, Prompt


def record(where: str, tokens: int, *, trouble: str = "fine", pair: bool = False) -> Labelled:
    return Labelled(where, where, trouble, (), "pair" if pair else "asr", str(tokens))


def source(name: str, lengths: Iterable[int], weight: float = 1.0, troubles: Sequence[str] = ()) -> Source:
    """Records `name:0`, `name:1` and so on; `troubles` for the first of them."""
    named = [*troubles, *["fine"] * 10_000]
    return Source(name, [record(f"{name}:{i}", n, trouble=named[i]) for i, n in enumerate(lengths)], weight)


def make(record: Labelled, rng: np.random.Generator) -> Group:
    """One example, or two; its prompt is what the draw's generator says."""
    if record.source == "cannot be made":
        raise UserError("no prompt for it")
    drawn = RawPrompt((str(rng.integers(2**31)),))
    example = Example(drawn, record.target, (), record.where, record.source, record.task)
    return (example, example) if record.task == "pair" else (example,)


def measure(group: Group) -> int:
    return int(group[0].answer or 0)


def hear(group: Group, rng: np.random.Generator) -> list[tuple[Prepared, Label]]:
    """Ids that depend on the record, on the prompt and on what hearing draws; up to two fewer than measured."""
    heard = []
    for example in group:
        if example.source == "cannot be heard":
            raise UserError(f"{example.where}: nothing is heard")
        if example.source == "a bug":
            raise KeyError("a window that is not there")
        num = int(example.answer or 0) // len(group) - int(rng.integers(3))
        num = int(example.answer or 0) + 1 if example.source == "longer" else max(num, 1)
        ids = (int(example.prompt.content[0]), *(int(n) for n in rng.integers(2**31, size=num - 1)))
        prompt = Prompt(ids, (False,) + (True,) * (num - 1), ())
        heard.append((Prepared(prompt), Label(example.where, example.source, example.task)))
    return heard


def stream(sources: Sequence[Source], *, make: Callable = make, hear: Callable = hear, **settings: int) -> Stream:
    defaults = {"seed": 3, "pack_tokens": 100, "packs_per_step": 4, "max_tokens": 200}
    return Stream(sources, make=make, measure=measure, hear=hear, **(defaults | settings))


Seen = tuple[list[int], list[int], list[str], list[str]]


def seen(pack: Pack) -> Seen:
    """All that a pack says: ids, lengths, whose sequences, and what was refused."""
    names = [label.where for label in pack.labels]
    return pack.inputs.ids.tolist(), list(pack.inputs.lengths), names, [refusal.why for refusal in pack.refused]
