"""Many continuations of one prompt: it is read once, and every branch goes on from a copy of its cache."""

from collections.abc import Sequence

from auricle.conversation import Sampling
from auricle.generate.forward import read
from auricle.generate.loop import collect, run
from auricle.generate.running import RunningBatch
from auricle.generate.tokens import Generated
from auricle.model import ModelInput, Qwen2Audio
from auricle.text import Tokenizer


def branch(
    model: Qwen2Audio,
    inputs: ModelInput,
    sampling: Sampling,
    num_branches: int,
    *,
    stop_ids: frozenset[int],
    tokenizer: Tokenizer | None = None,
    indices: Sequence[int] | None = None,
) -> list[Generated]:
    """So many answers to one prompt, each as `generate` would say it at its place; the prompt is read once.

    The cache of the prompt is copied for every branch: memory grows with their number, time hardly.

    Args:
        model: in evaluation mode.
        inputs: one prompt on the model's device.
        sampling: as `stream`'s; at temperature 0 all branches say the same.
        num_branches: at least 1.
        stop_ids: any of them ends its branch.
        tokenizer: finds the texts of `sampling.stop`; not needed without them.
        indices: each branch's place among all requests, which its draws depend on; counted from 0 unless given.
    """
    if len(inputs.ids) != 1:
        raise ValueError(f"branch goes on from one prompt, got {len(inputs.ids)}")
    if sampling.num_beams > 1:
        raise ValueError(f"branches are drawn one by one: got {sampling.num_beams} beams")
    batch = RunningBatch(model, stop_ids=stop_ids, tokenizer=tokenizer)
    places = range(num_branches) if indices is None else indices
    steps = run(batch, read(model, inputs), sampling, [0] * num_branches, places)
    return collect(steps, num_branches, stop_ids)
