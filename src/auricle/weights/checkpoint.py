"""A checkpoint directory as a model: strict, memory-mapped, plain or quantised."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from auricle.errors import UserError
from auricle.model import Qwen2Audio, Qwen2AudioConfig
from auricle.text import Tokenizer
from auricle.weights.config_json import config_from_json, config_to_json
from auricle.weights.names import from_nested
from auricle.weights.packed import unpack_state
from auricle.weights.tensors import read_tensors

_HEAD, _EMBEDDINGS = "language_model.lm_head.weight", "language_model.model.embed_tokens.weight"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model with all that its directory says about it."""

    directory: Path
    model: Qwen2Audio
    tokenizer: Tokenizer
    stop_ids: frozenset[int]
    pad_id: int


def read_checkpoint(directory: Path, *, dtype: torch.dtype, device: torch.device) -> Checkpoint:
    """Model, tokenizer and the ids that end an answer.

    Raises:
        UserError: a file or a tensor is missing, unexpected or of another shape; the message names it.
    """
    tokenizer = Tokenizer.from_file(directory / "tokenizer.json")
    model = read_model(directory, dtype=dtype, device=device)
    generation = _read_json(directory / "generation_config.json", required=False)
    end_id = tokenizer.special("<|im_end|>")
    stop = generation.get("eos_token_id", end_id)
    stop_ids = frozenset(stop if isinstance(stop, list) else [stop]) | {end_id}
    pad_id = generation.get("pad_token_id")
    return Checkpoint(directory, model, tokenizer, stop_ids, end_id if pad_id is None else pad_id)


def read_config(directory: Path) -> Qwen2AudioConfig:
    """The configuration of the model in a directory."""
    return config_from_json(_read_json(directory / "config.json", required=True))


def read_model(directory: Path, *, dtype: torch.dtype, device: torch.device) -> Qwen2Audio:
    """The model of a checkpoint directory; its tensors stay memory-mapped where dtype and device allow it."""
    config = read_config(directory)
    with torch.device("meta"):
        model = Qwen2Audio(config)
    state = {from_nested(name): tensor for name, tensor in read_tensors(directory).items()}
    if (directory / "quantization.json").exists():
        state = unpack_state(state, _read_json(directory / "quantization.json", required=True), dtype)
    if config.text.tied_head:
        _tie(state, directory)
    _check(model.state_dict(), state, directory)
    model.load_state_dict(state, strict=True, assign=True)
    model.language_model.tie()
    return model.to(device=device, dtype=dtype).requires_grad_(False).eval()


def write_model(model: Qwen2Audio, directory: Path) -> None:
    """config.json and model.safetensors in the published layout; a tied head is not written twice."""
    directory.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    if model.config.text.tied_head:
        del state[_HEAD]
    save_file(state, directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "config.json").write_text(json.dumps(config_to_json(model.config), indent=2) + "\n")


def _tie(state: dict[str, torch.Tensor], directory: Path) -> None:
    """The head of a tied model is its embedding table; a file may repeat it but not contradict it."""
    if _EMBEDDINGS in state:
        head = state.setdefault(_HEAD, state[_EMBEDDINGS])
        if head is not state[_EMBEDDINGS] and not torch.equal(head, state[_EMBEDDINGS]):
            raise UserError(
                f"{directory}: config.json ties the head to the embeddings but {_HEAD} differs from {_EMBEDDINGS}; "
                "set text_config.tie_word_embeddings to false"
            )


def _check(expected: dict[str, torch.Tensor], got: dict[str, torch.Tensor], directory: Path) -> None:
    problems = [f"missing {name}" for name in sorted(expected.keys() - got.keys())]
    problems += [f"unexpected {name}" for name in sorted(got.keys() - expected.keys())]
    problems += [
        f"{name} has shape {tuple(got[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in sorted(expected.keys() & got.keys())
        if got[name].shape != expected[name].shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise UserError(f"tensors in {directory} do not fit its config.json: {'; '.join(problems[:3])}{more}")


def _read_json(path: Path, *, required: bool) -> dict[str, Any]:
    if not path.exists():
        if required:
            raise UserError(f"no {path.name} in {path.parent}; expected a checkpoint directory")
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error
