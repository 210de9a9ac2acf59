"""The trained model as a checkpoint directory in the published layout, and the adapters beside it."""

import shutil
from pathlib import Path

import torch

from auricle.errors import UserError
from auricle.extend import LoraSettings, is_adapter, merge_lora, whole, write_adapter
from auricle.model import Qwen2Audio
from auricle.train.adapters import holds_everything, moved_in_full
from auricle.train.distributed import Ranks
from auricle.train.session import DTYPES, master_names
from auricle.train.settings import Recipe
from auricle.train.trainee import Trainee
from auricle.weights import write_checkpoint


def write_model(recipe: Recipe, ranks: Ranks, trainee: Trainee, source: Path) -> Path:
    """OUT/model, in the dtype of the run's arithmetic, adapters merged; and OUT/adapter, where it can say the same.

    All ranks call; the first one writes. The trainee has no adapters afterwards.

    Args:
        recipe: of the run.
        ranks: those that hold the model.
        trainee: after its last step.
        source: the checkpoint directory that it began as, whose tokenizer and other files go with it.

    Raises:
        UserError: there is no space, or it cannot be written.
    """
    out, model = recipe.out / "model", trainee.model
    if recipe.lora is not None:
        _write_adapter(recipe, recipe.lora, ranks, model)
        merge_lora(model)
    dtype = DTYPES[recipe.dtype]
    state: dict[str, torch.Tensor] = {}
    for name, parameter in model.named_parameters():
        tensor = whole(parameter.detach())
        if ranks.is_first:
            state[name] = tensor.to("cpu", dtype)
    if ranks.is_first:
        _take_scratch_away(out)
        try:
            write_checkpoint(source, model.config, state.__getitem__, out, dtype=dtype)
        except OSError as error:
            raise UserError(
                f"cannot write {out}: {error.strerror}; the last checkpoint is whole: make room and start the same "
                "command again"
            ) from error
    ranks.gather(None)  # nobody leaves before it is there
    return out


def _write_adapter(recipe: Recipe, settings: LoraSettings, ranks: Ranks, model: Qwen2Audio) -> None:
    """Nothing where a part moved that it does not hold; the run's notes have said so at its start."""
    masters = master_names(model, recipe)
    if not holds_everything(moved_in_full(masters)):
        return
    tensors: dict[str, torch.Tensor] = {}
    for name, parameter in model.named_parameters():
        if name in masters or is_adapter(name):
            tensor = whole(parameter.detach())
            if ranks.is_first:
                tensors[name] = tensor.cpu()
    if ranks.is_first:
        write_adapter(model, settings, tensors, base=recipe.model, directory=recipe.out / "adapter")


def _take_scratch_away(out: Path) -> None:
    """What a kill has left of an earlier attempt."""
    for path in out.parent.glob(f".{out.name}.*"):
        shutil.rmtree(path, ignore_errors=True)
