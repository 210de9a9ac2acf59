"""A checkpoint written for everyone: plain tensors, nothing tied, in the files that other programs look for."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from auricle.model import Qwen2AudioConfig, outline
from auricle.text import Tokenizer
from auricle.weights.checkpoint import read_config
from auricle.weights.generation_json import read_generation
from auricle.weights.published import parameter_shapes, published_directory
from auricle.weights.stored import StoredState, read_stored

LICENCE_FILES = ("LICENSE*", "LICENCE*", "NOTICE*", "licences/*", "licenses/*")
_CARD = "README.md"  # says what a model is and how good: true of a copy, not of a model that learnt more
_CARRIED = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt"),
    *("added_tokens.json", "generation_config.json", "preprocessor_config.json", *LICENCE_FILES),
)


def export_checkpoint(source: Path, out: Path, *, dtype: torch.dtype | None = None) -> None:
    """Write a directory that transformers, vLLM and Auricle load as it is.

    Packed parameters are unpacked and a tied head is written out, because neither reader ties it by itself. Every
    parameter is read, converted and written shard by shard: memory holds one shard of at most 5 GB.

    Args:
        source: a checkpoint directory, plain or quantised.
        out: a new or an empty directory; it appears only once it is whole.
        dtype: of every parameter; None keeps the files', and makes bfloat16 of packed ones, which holds their few
            bits with room to spare.

    Raises:
        UserError: the source is no whole checkpoint, `out` is not empty, or there is no space for it.
    """
    config = read_config(source)
    Tokenizer.from_file(source / "tokenizer.json")
    read_generation(source)
    stored = read_stored(source, tied_head=config.text.tied_head)
    stored.check(outline(config).state_dict())
    dtypes = {name: dtype or stored.dtype(name) for name in stored.names()}
    untied = replace(config, text=replace(config.text, tied_head=False))
    with published_directory(out, untied, dtypes, lambda name: _read(stored, name, dtypes[name])) as directory:
        _carry_over(source, directory, (*_CARRIED, _CARD))


def write_checkpoint(
    source: Path, config: Qwen2AudioConfig, read: Callable[[str], torch.Tensor], out: Path, *, dtype: torch.dtype
) -> None:
    """A model that began as a checkpoint, with that one's tokenizer, licences and other files; not its model card.

    Args:
        source: the checkpoint directory it began as.
        config: the model's.
        read: gives the parameter of a name; a tied head is not asked for.
        out: a new or an empty directory; it appears only once it is whole.
        dtype: of every parameter.

    Raises:
        UserError: `out` is not empty, or there is no space for it.
    """
    dtypes = dict.fromkeys(parameter_shapes(config), dtype)
    with published_directory(out, config, dtypes, read) as directory:
        _carry_over(source, directory, _CARRIED)


def _read(stored: StoredState, name: str, dtype: torch.dtype) -> torch.Tensor:
    """In memory of its own where it is another one's alias: the same memory cannot be written twice."""
    tensor = stored.read(name, dtype)
    return tensor.clone() if name in stored.aliases else tensor


def _carry_over(source: Path, directory: Path, patterns: Sequence[str]) -> None:
    for pattern in patterns:
        for path in filter(Path.is_file, source.glob(pattern)):
            copy = directory / path.relative_to(source)
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, copy)
