"""Checkpoint directories in and out, in the published Hugging Face layout."""

from auricle.weights.checkpoint import Checkpoint, read_checkpoint, read_config, read_model, write_model
from auricle.weights.dtype import choose_stored_dtype
from auricle.weights.export import LICENCE_FILES, export_checkpoint, write_checkpoint
from auricle.weights.generation_json import read_generation
from auricle.weights.locate import locate
from auricle.weights.names import to_nested
from auricle.weights.packed import write_packed
from auricle.weights.tensors import read_dtypes

__all__ = [
    "LICENCE_FILES",
    "Checkpoint",
    "choose_stored_dtype",
    "export_checkpoint",
    "locate",
    "read_checkpoint",
    "read_config",
    "read_dtypes",
    "read_generation",
    "read_model",
    "to_nested",
    "write_checkpoint",
    "write_model",
    "write_packed",
]
