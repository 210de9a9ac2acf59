"""What a model's files say about it, weights unread."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from auricle.model import outline
from auricle.weights import LICENCE_FILES, locate, read_config, read_dtypes, read_generation


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Sizes in parameters and bytes; the encoder's and decoder's shapes as their configurations name them.

    dtypes: the kinds of numbers in the weights' files, as safetensors names them.
    generation: how the model wants to be answered with, and the ids that end and pad its answers.
    licences: the licence files, if any.
    """

    directory: str
    parameters: int
    encoder_parameters: int
    projector_parameters: int
    decoder_parameters: int
    file_bytes: int
    dtypes: list[str]
    quantised: bool
    audio_token_id: int
    audio: dict[str, Any]
    text: dict[str, Any]
    generation: dict[str, Any]
    licences: list[str]


def describe(model: str | Path, revision: str | None = None) -> ModelInfo:
    """Count and list, from the json files, the weights' headers and the files' sizes.

    Args:
        model: `mini`, a checkpoint directory, or a hub id.
        revision: branch, tag or commit of a hub id.

    Raises:
        UserError: no such model, or a file of it is missing or damaged.
    """
    directory = locate(model, revision)
    config = read_config(directory)
    built = outline(config)
    return ModelInfo(
        directory=str(directory),
        parameters=_count(built),
        encoder_parameters=_count(built.audio_tower),
        projector_parameters=_count(built.multi_modal_projector),
        decoder_parameters=_count(built.language_model),
        file_bytes=sum(path.stat().st_size for path in directory.glob("*.safetensors")),
        dtypes=read_dtypes(directory),
        quantised=(directory / "quantization.json").exists(),
        audio_token_id=config.audio_token_id,
        audio=asdict(config.audio),
        text=asdict(config.text),
        generation=_generation(directory),
        licences=sorted(
            str(path.relative_to(directory))
            for name in LICENCE_FILES
            for path in directory.glob(name)
            if path.is_file()
        ),
    )


def _generation(directory: Path) -> dict[str, Any]:
    said = read_generation(directory)
    return {"eos_token_ids": sorted(said.stop_ids), "pad_token_id": said.pad_id} | asdict(said.sampling)


def _count(module: torch.nn.Module) -> int:
    """Parameters, a tied one counted once."""
    return sum(parameter.numel() for parameter in module.parameters())
