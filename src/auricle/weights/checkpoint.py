"""A checkpoint directory as a model: strict, memory-mapped, plain or quantised."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from auricle.conversation import Sampling
from auricle.model import Qwen2Audio, Qwen2AudioConfig, outline
from auricle.text import Tokenizer
from auricle.weights.config_json import config_from_json, config_to_json
from auricle.weights.generation_json import read_generation
from auricle.weights.json_file import read_json
from auricle.weights.stored import HEAD, read_stored


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model with all that its directory says about it.

    stop_ids: any of them ends an answer.
    pad_id: fills the left of shorter prompts.
    defaults: how the directory's generation_config.json wants its answers drawn; greedy where it says nothing.
    """

    directory: Path
    model: Qwen2Audio
    tokenizer: Tokenizer
    stop_ids: frozenset[int]
    pad_id: int
    defaults: Sampling


def read_checkpoint(directory: Path, *, dtype: torch.dtype | None, device: torch.device) -> Checkpoint:
    """Model, tokenizer and the ids that end an answer; `dtype` as `read_model`'s.

    Raises:
        UserError: a file or a tensor is missing, unexpected or of another shape, or a setting is wrong; the message
            names it.
    """
    tokenizer = Tokenizer.from_file(directory / "tokenizer.json")
    generation = read_generation(directory)
    model = read_model(directory, dtype=dtype, device=device)
    end_id = tokenizer.special("<|im_end|>")
    pad_id = end_id if generation.pad_id is None else generation.pad_id
    return Checkpoint(directory, model, tokenizer, generation.stop_ids | {end_id}, pad_id, generation.sampling)


def read_config(directory: Path) -> Qwen2AudioConfig:
    """The configuration of the model in a directory."""
    return config_from_json(read_json(directory / "config.json"))


def read_model(directory: Path, *, dtype: torch.dtype | None, device: torch.device) -> Qwen2Audio:
    """The model of a checkpoint directory; its tensors stay memory-mapped where dtype and device allow it.

    dtype: of every parameter; None leaves plain ones as they are stored, and unpacks packed ones to float32.
    """
    config = read_config(directory)
    model = outline(config)
    stored = read_stored(directory, tied_head=config.text.tied_head)
    stored.check(model.state_dict())
    state = {name: stored.read(name, dtype or torch.float32) for name in stored.names() - stored.aliases.keys()}
    state |= {name: state[other] for name, other in stored.aliases.items()}
    model.load_state_dict(state, strict=True, assign=True)
    model.language_model.tie()
    return model.to(device=device, dtype=dtype).requires_grad_(False).eval()


def write_model(model: Qwen2Audio, directory: Path) -> None:
    """config.json and model.safetensors in the published layout; a tied head is not written twice."""
    directory.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    if model.config.text.tied_head:
        del state[HEAD]
    save_file(state, directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "config.json").write_text(json.dumps(config_to_json(model.config), indent=2) + "\n")
