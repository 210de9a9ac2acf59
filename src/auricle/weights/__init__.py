"""Checkpoint directories in and out, in the published Hugging Face layout."""

from auricle.weights.checkpoint import Checkpoint, read_checkpoint, read_config, read_model, write_model
from auricle.weights.locate import locate
from auricle.weights.packed import write_packed

__all__ = ["Checkpoint", "locate", "read_checkpoint", "read_config", "read_model", "write_model", "write_packed"]
