"""Whole batches through the running batch: all rows join at once, and each leaves where its answer ends.

Axes: B batch, V vocabulary.
"""

from collections.abc import Iterable, Iterator, Sequence

from auricle.conversation import Sampling
from auricle.generate.beam import beam_search
from auricle.generate.forward import Prefilled, read
from auricle.generate.running import RunningBatch
from auricle.generate.tokens import Generated, Token
from auricle.model import ModelInput, Qwen2Audio
from auricle.text import Tokenizer


def generate(
    model: Qwen2Audio,
    inputs: ModelInput,
    sampling: Sampling,
    *,
    stop_ids: frozenset[int],
    tokenizer: Tokenizer | None = None,
    indices: Sequence[int] | None = None,
) -> list[Generated]:
    """Answer a whole batch: arguments as `stream`'s; `num_beams` above 1 is beam search."""
    if sampling.num_beams > 1:
        return beam_search(model, inputs, sampling, stop_ids=stop_ids, tokenizer=tokenizer)
    steps = stream(model, inputs, sampling, stop_ids=stop_ids, tokenizer=tokenizer, indices=indices)
    return collect(steps, len(inputs.ids), stop_ids)


def collect(steps: Iterable[list[Token | None]], num_rows: int, stop_ids: frozenset[int]) -> list[Generated]:
    """What every row said, once all have ended."""
    rows = [Generated() for _ in range(num_rows)]
    for step in steps:
        for row, token in zip(rows, step, strict=True):
            if token is not None:
                row.add(token, stop_ids)
    return rows


def stream(
    model: Qwen2Audio,
    inputs: ModelInput,
    sampling: Sampling,
    *,
    stop_ids: frozenset[int],
    tokenizer: Tokenizer | None = None,
    indices: Sequence[int] | None = None,
) -> Iterator[list[Token | None]]:
    """Answer a batch token by token: each step is one token a row, None where the row had already ended.

    Args:
        model: in evaluation mode.
        inputs: prompts on the model's device, padded on the left.
        sampling: how to choose, when to stop, what to report; without beams, which have no token until the end.
        stop_ids: any of them ends its row; it is part of the last step that has the row.
        tokenizer: finds the texts of `sampling.stop`; not needed without them.
        indices: each row's place among all requests, which its draws depend on; counted from 0 unless given.
    """
    if sampling.num_beams > 1:
        raise ValueError(f"{sampling.num_beams} beams have no token until the end: call generate")
    batch = RunningBatch(model, stop_ids=stop_ids, tokenizer=tokenizer)
    rows = range(len(inputs.ids))
    yield from run(batch, read(model, inputs), sampling, rows, rows if indices is None else indices)


def run(
    batch: RunningBatch, prompts: Prefilled, sampling: Sampling, rows: Sequence[int], indices: Sequence[int]
) -> Iterator[list[Token | None]]:
    """Steps of a batch that nothing else joins; arguments as `RunningBatch.join`'s."""
    said = batch.join(prompts, sampling, indices, rows=rows)
    del prompts  # the scores of a whole vocabulary for every prompt
    while said:
        step: list[Token | None] = [None] * len(rows)
        for row, token, _ in said:
            step[row] = token
        yield step
        said = batch.step()
