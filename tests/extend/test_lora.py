"""Adapters: what they change, what they leave, merged, switched off, and read by transformers with peft."""

import copy
import sys

import pytest
import torch

from auricle.errors import UserError
from auricle.extend import LoraSettings, add_lora, is_adapter, merge_lora, without_lora
from auricle.extend.frozen import FrozenLinear
from auricle.model import PackedInput, packed_hidden

SETTINGS = LoraSettings(rank=4, alpha=16)


def pack_of(model):
    audio = model.config.audio_token_id
    ids = torch.tensor([5, 9, *[audio] * 25, 7, 8, 3, 4])
    features = torch.randn(model.config.audio.num_mel_bins, 101, generator=torch.Generator().manual_seed(0))
    return PackedInput(ids, (len(ids),), (features,), (100,), (0,))


def said(model):
    with torch.no_grad():
        return model.logits(packed_hidden(model, pack_of(model)))


def adapted(model, settings=SETTINGS, *, std=0.3):
    """With adapters that have learnt something: peft starts them at zero."""
    add_lora(model, settings)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if is_adapter(name):
            torch.nn.init.normal_(parameter, std=std)
    return model


@pytest.fixture
def model(tiny_model):
    return copy.deepcopy(tiny_model(seed=5))


def test_fresh_adapters_change_nothing_and_alone_can_move(model):
    before = said(model)
    add_lora(model, SETTINGS)
    torch.testing.assert_close(said(model), before, atol=0, rtol=0)
    moving = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert moving == {name for name, _ in model.named_parameters() if is_adapter(name)}
    assert len(moving) == 2 * 7 * model.config.text.num_layers  # A and B beside q, k, v, o, gate, up, down


def test_merged_says_what_the_adapters_said(model):
    names = list(model.state_dict())
    before = said(model)
    with_adapters = said(adapted(model))
    assert (with_adapters - before).abs().max() > 0.1
    merge_lora(model)
    torch.testing.assert_close(said(model), with_adapters, atol=1e-4, rtol=1e-4)
    assert list(model.state_dict()) == names


def test_without_them_it_is_the_model_it_was(model):
    before = said(model)
    adapted(model)
    with without_lora(model):
        torch.testing.assert_close(said(model), before, atol=0, rtol=0)
    assert not torch.allclose(said(model), before)


@pytest.mark.parametrize("bits", [8])
def test_beside_a_decoder_in_few_bits(model, bits):
    settings = LoraSettings(rank=4, quantised_bits=bits)
    exact, names = said(model), list(model.state_dict())
    adapted(model, settings)
    assert any(isinstance(module, FrozenLinear) for module in model.modules())
    said_so = said(model)
    loss = packed_hidden(model, pack_of(model)).square().sum()
    loss.backward()
    assert all((p.grad is not None) == is_adapter(name) for name, p in model.named_parameters())
    merge_lora(model)
    torch.testing.assert_close(said(model), said_so, atol=1e-4, rtol=1e-4)
    assert list(model.state_dict()) == names
    assert not torch.allclose(said(model), exact)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (LoraSettings(rank=0), "lora.rank is 0; expected at least 1"),
        (LoraSettings(targets="("), r"lora.targets '\(' is no regular expression"),
        (LoraSettings(targets="nothing"), "lora.targets 'nothing' names no linear map of the model; expected names"),
    ],
)
def test_wrong_settings(model, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        add_lora(model, settings)


def test_without_peft(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match=r"adapters need peft: install it with pip install 'auricle\[lora\]'"):
        add_lora(model, SETTINGS)
