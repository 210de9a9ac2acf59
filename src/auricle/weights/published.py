"""A directory in the published layout: weights in shards, config.json, and what other programs read beside them."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from auricle.model import Qwen2AudioConfig, outline
from auricle.weights.config_json import config_to_json
from auricle.weights.new_directory import new_directory
from auricle.weights.processor_files import complete
from auricle.weights.shards import write_shards
from auricle.weights.stored import HEAD

MAX_SHARD_BYTES = 5_000_000_000  # as transformers writes them


def parameter_shapes(config: Qwen2AudioConfig) -> dict[str, torch.Size]:
    """The parameters that a file of such a model holds, in the model's order; a tied head is not one."""
    state = outline(config).state_dict()
    if config.text.tied_head:
        del state[HEAD]
    return {name: tensor.shape for name, tensor in state.items()}


@contextmanager
def published_directory(
    out: Path, config: Qwen2AudioConfig, dtypes: dict[str, torch.dtype], read: Callable[[str], torch.Tensor]
) -> Iterator[Path]:
    """A folder to put tokenizer.json and other files into; at the end the weights follow, and it becomes `out`.

    Args:
        out: a new or an empty directory; it appears only once it is whole.
        config: goes into config.json.
        dtypes: of every parameter that a file of such a model holds.
        read: gives the parameter of a name when its shard is written; converted to its dtype here.

    Raises:
        UserError: `out` is not empty, or there is no space for it.
    """
    sizes = {name: shape.numel() * dtypes[name].itemsize for name, shape in parameter_shapes(config).items()}
    with new_directory(out, num_bytes=sum(sizes.values())) as directory:
        yield directory
        complete(directory, config.audio, max_tokens=config.text.max_tokens)
        write_shards(sizes, lambda name: read(name).to(dtypes[name]), directory, max_shard_bytes=MAX_SHARD_BYTES)
        [(most, _)] = Counter(dtypes.values()).most_common(1)
        contents = config_to_json(config) | {"torch_dtype": str(most).removeprefix("torch.")}
        (directory / "config.json").write_text(json.dumps(contents, indent=2) + "\n")
