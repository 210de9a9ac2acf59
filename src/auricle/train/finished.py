"""The trained model as a checkpoint directory in the published layout, and the adapters beside it."""

import shutil
from pathlib import Path

import torch

from auricle.errors import UserError
from auricle.extend import merge_lora, write_adapter
from auricle.train.distributed import Ranks
from auricle.train.optimizer import whole
from auricle.train.session import DTYPES
from auricle.train.settings import Recipe
from auricle.train.trainee import Trainee
from auricle.weights import write_checkpoint


def write_model(recipe: Recipe, ranks: Ranks, trainee: Trainee, source: Path) -> Path:
    """OUT/model, in the dtype of the run's arithmetic; with adapters also OUT/adapter, and OUT/model has them merged.

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
        if ranks.size == 1:  # a shard of an adapter is none
            write_adapter(model, recipe.lora, base=recipe.model, directory=recipe.out / "adapter")
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


def _take_scratch_away(out: Path) -> None:
    """What a kill has left of an earlier attempt."""
    for path in out.parent.glob(f".{out.name}.*"):
        shutil.rmtree(path, ignore_errors=True)
