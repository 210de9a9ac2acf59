"""An adapter of ours beside transformers' model, read by peft."""

import pytest
import torch
from peft import PeftModel

from auricle.extend import LoraSettings, add_lora, is_adapter, merge_lora, write_adapter
from auricle.model import PackedInput, packed_hidden

from .reference import AUDIO_ID, Shape, random_reference, read_ours

SETTINGS = LoraSettings(rank=4, alpha=16)


def adapted(model):
    add_lora(model, SETTINGS)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if is_adapter(name):
            torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # peft's
def test_transformers_with_peft_reads_the_adapter(tmp_path):
    reference = random_reference(Shape(4, 2))
    reference.save_pretrained(tmp_path / "base")
    ours = adapted(read_ours(tmp_path / "base"))
    write_adapter(ours, SETTINGS, base=str(tmp_path / "base"), directory=tmp_path / "adapter")
    theirs = PeftModel.from_pretrained(reference, tmp_path / "adapter").eval()
    ids = torch.tensor([[5, 9, 7, 8, 3, 4, 11]])
    pack = PackedInput(ids[0], (7,), (), (), ())
    assert AUDIO_ID not in ids
    with torch.no_grad():
        their_logits = theirs(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
        our_logits = ours.logits(packed_hidden(ours, pack))
        with theirs.disable_adapter():
            plain = theirs(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
    torch.testing.assert_close(our_logits, their_logits, atol=1e-4, rtol=1e-4)
    assert (plain - their_logits).abs().max() > 0.1, "the adapter does something"
    merge_lora(ours)
    merged = theirs.merge_and_unload()
    with torch.no_grad():
        again = merged(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
        torch.testing.assert_close(ours.logits(packed_hidden(ours, pack)), again, atol=1e-4, rtol=1e-4)
