"""An adapter of ours beside transformers' model, read by peft."""

import copy
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from auricle.extend import LoraSettings, add_lora, is_adapter, merge_lora, write_adapter
from auricle.model import Qwen2Audio

from .reference import Shape, make_batch, model_pair, our_logits, relative, their_logits

SETTINGS = LoraSettings(rank=4, alpha=16)
BATCH = make_batch([(9,), (3, 0.4, 5)])


def trained(model: Qwen2Audio, *, projector: bool) -> dict[str, torch.Tensor]:
    """Give the model adapters, and move them, with or without the projector; all that moved."""
    add_lora(model, SETTINGS)
    torch.manual_seed(1)
    moved = {}
    for name, parameter in model.named_parameters():
        if is_adapter(name) or (projector and name.startswith("multi_modal_projector.")):
            torch.nn.init.normal_(parameter, std=0.3)
            moved[name] = parameter
    return moved


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # peft's
@pytest.mark.parametrize("projector", [False, True])
def test_transformers_with_peft_reads_what_moved(projector: bool, tmp_path: Path):
    reference, ours = model_pair(Shape(4, 2), tmp_path / "base")
    moved = trained(ours, projector=projector)
    write_adapter(ours, SETTINGS, moved, base=str(tmp_path / "base"), directory=tmp_path / "adapter")
    plain = their_logits(copy.deepcopy(reference), BATCH)
    theirs = PeftModel.from_pretrained(reference, tmp_path / "adapter").eval()
    with_adapter, valid = their_logits(theirs, BATCH), BATCH.inputs.valid
    assert relative(our_logits(ours, BATCH.inputs)[valid], with_adapter) < 1e-4
    assert relative(plain, with_adapter) > 0.1, "the adapter does something"
    with theirs.disable_adapter():
        assert relative(their_logits(theirs, BATCH), plain) == 0
    merge_lora(ours)
    merged = our_logits(ours, BATCH.inputs)[valid]
    assert relative(merged, their_logits(theirs.merge_and_unload(), BATCH)) < 1e-4


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_without_the_projector_that_moved_it_is_another_model(tmp_path: Path):
    """Negative control."""
    reference, ours = model_pair(Shape(4, 2), tmp_path / "base")
    moved = trained(ours, projector=True)
    alone = {name: tensor for name, tensor in moved.items() if is_adapter(name)}
    write_adapter(ours, SETTINGS, alone, base=str(tmp_path / "base"), directory=tmp_path / "adapter")
    theirs = PeftModel.from_pretrained(reference, tmp_path / "adapter").eval()
    assert relative(our_logits(ours, BATCH.inputs)[BATCH.inputs.valid], their_logits(theirs, BATCH)) > 0.01
