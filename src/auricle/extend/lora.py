"""Low-rank adapters beside frozen weights, made by peft: put in, switched off for a reference, merged, written."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from auricle.errors import UserError
from auricle.extend.frozen import FrozenLinear, freeze_in_bits
from auricle.extend.settings import LoraSettings
from auricle.extend.whole import whole
from auricle.model import Qwen2Audio
from auricle.weights import to_nested

_TASK = "CAUSAL_LM"


def add_lora(model: Qwen2Audio, settings: LoraSettings) -> None:
    """Put an adapter beside every linear map that `settings.targets` names; all other parameters stand still.

    The decoder's layers are first packed into few bits where `settings.quantised_bits` says so.

    Raises:
        UserError: peft is missing, or a setting is wrong.
    """
    peft = _peft()
    targets = target_names(model, settings)
    if settings.rank < 1:
        raise UserError(f"lora.rank is {settings.rank}; expected at least 1")
    if settings.quantised_bits is not None:
        freeze_in_bits(model.language_model.model.layers, bits=settings.quantised_bits)
    peft.inject_adapter_in_model(_config(peft, settings, targets), model)


def target_names(model: Qwen2Audio, settings: LoraSettings) -> list[str]:
    """The linear maps that get an adapter.

    Raises:
        UserError: `targets` is no regular expression, or names no linear map.
    """
    try:
        pattern = re.compile(settings.targets)
    except re.error as error:
        raise UserError(f"lora.targets {settings.targets!r} is no regular expression: {error}") from error
    names = [
        name for name, module in model.named_modules() if isinstance(module, nn.Linear) and pattern.fullmatch(name)
    ]
    if not names:
        raise UserError(
            f"lora.targets {settings.targets!r} names no linear map of the model; expected names such as "
            "language_model.model.layers.0.self_attn.q_proj"
        )
    return names


def is_adapter(name: str) -> bool:
    """Whether a parameter of that name belongs to an adapter."""
    return ".lora_" in name


@contextmanager
def without_lora(model: nn.Module) -> Iterator[None]:
    """The model as it was before `add_lora`, for as long as the block runs: DPO's reference."""
    layers = list(_adapted(model).values())
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


def merge_lora(model: Qwen2Audio) -> None:
    """Add every adapter to the weight beside it and take it out; a packed weight is unpacked for good.

    Where the model lies in shards all ranks call; a packed weight is whole on each of them and stays so.
    """
    for name, layer in _adapted(model).items():
        base = _plain(layer.get_base_layer())
        delta = layer.get_delta_weight("default").to(base.weight.dtype)
        base.weight.data += delta if hasattr(base.weight, "full_tensor") else whole(delta)
        _replace(model, name, base)
    for name, module in list(model.named_modules()):
        if isinstance(module, FrozenLinear):
            _replace(model, name, _plain(module))


def write_adapter(
    model: Qwen2Audio, settings: LoraSettings, tensors: Mapping[str, torch.Tensor], *, base: str, directory: Path
) -> None:
    """adapter_config.json and adapter_model.safetensors, which `peft.PeftModel.from_pretrained` reads beside
    transformers' model of the same base.

    Args:
        model: with adapters.
        settings: what they were made with.
        tensors: whole, by the model's names: all adapters', and of each other part that moved, such as the projector,
            all that it holds; such a part is peft's `modules_to_save`.
        base: the directory or hub id of the model they belong to, as others will find it.
        directory: gets both files.
    """
    from safetensors.torch import save_file

    peft = _peft()
    directory.mkdir(parents=True, exist_ok=True)
    names = [to_nested(name + ".")[:-1] for name in _adapted(model)]
    config = _config(peft, settings, names)
    config.base_model_name_or_path, config.task_type, config.inference_mode = base, _TASK, True
    config.modules_to_save = sorted({name.partition(".")[0] for name in tensors if not is_adapter(name)}) or None
    config.save_pretrained(str(directory))
    named = {
        f"base_model.model.{to_nested(name).replace('.default.', '.')}": tensor.detach().cpu().contiguous()
        for name, tensor in tensors.items()
    }
    save_file(named, directory / "adapter_model.safetensors", metadata={"format": "pt"})


def _config(peft: ModuleType, settings: LoraSettings, targets: list[str]) -> Any:
    return peft.LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout, target_modules=targets
    )


def _adapted(model: nn.Module) -> dict[str, Any]:
    from peft.tuners.lora import LoraLayer

    return {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}


def _plain(linear: nn.Linear) -> nn.Linear:
    """An nn.Linear with the weight of a FrozenLinear; any other as it is."""
    if not isinstance(linear, FrozenLinear):
        return linear
    plain = nn.Linear(linear.in_features, linear.out_features, bias=linear.bias is not None, device="meta")
    plain.weight = nn.Parameter(linear.weight, requires_grad=False)
    plain.bias = linear.bias
    return plain


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def _peft() -> ModuleType:
    try:
        import peft
    except ImportError as error:
        raise UserError("adapters need peft: install it with pip install 'auricle[lora]'") from error
    return peft
