"""What is done to a finished model from outside: the projector's start in closed form, faster linear maps, adapters,
weights in few bits, activations computed twice.
"""

from auricle.extend.lora import add_lora, is_adapter, merge_lora, target_names, without_lora, write_adapter
from auricle.extend.onednn import use_onednn
from auricle.extend.recompute import recompute
from auricle.extend.ridge import RidgeFit, fit_projector
from auricle.extend.rounded import train_rounded
from auricle.extend.settings import LoraSettings
from auricle.extend.whole import whole

__all__ = [
    "LoraSettings",
    "RidgeFit",
    "add_lora",
    "fit_projector",
    "is_adapter",
    "merge_lora",
    "recompute",
    "target_names",
    "train_rounded",
    "use_onednn",
    "whole",
    "without_lora",
    "write_adapter",
]
