"""What a model's files say about it, weights unread."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from auricle.model import Qwen2Audio
from auricle.weights import locate, read_config


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Sizes in parameters and bytes; the encoder's and decoder's shapes as their configurations name them."""

    directory: str
    parameters: int
    encoder_parameters: int
    projector_parameters: int
    decoder_parameters: int
    file_bytes: int
    quantised: bool
    audio: dict[str, int]
    text: dict[str, int | float | bool]


def describe(model: str | Path) -> ModelInfo:
    """Count and list, from config.json and the files' sizes.

    Raises:
        UserError: no such model.
    """
    directory = locate(model)
    config = read_config(directory)
    with torch.device("meta"):
        built = Qwen2Audio(config)
    return ModelInfo(
        directory=str(directory),
        parameters=_count(built),
        encoder_parameters=_count(built.audio_tower),
        projector_parameters=_count(built.multi_modal_projector),
        decoder_parameters=_count(built.language_model),
        file_bytes=sum(path.stat().st_size for path in directory.glob("*.safetensors")),
        quantised=(directory / "quantization.json").exists(),
        audio=asdict(config.audio),
        text=asdict(config.text),
    )


def _count(module: torch.nn.Module) -> int:
    """Parameters, a tied one counted once."""
    return sum(parameter.numel() for parameter in module.parameters())
