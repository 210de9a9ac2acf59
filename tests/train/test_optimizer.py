"""AdamW's groups, what asks for a gradient, clipping."""

import pytest
import torch
import toy

from auricle.train.optimizer import clip, follow, make_optimizer, movable
from auricle.train.schedule import Rates, part_of
from auricle.train.settings import OptimizerSettings, PhaseSettings

ALL = (PhaseSettings(projector=1, decoder=1, encoder=1),)


def named(**changes: bool) -> dict[str, torch.nn.Parameter]:
    model = toy.tiny(**changes)
    names = movable(dict(model.named_parameters()), ALL, num_layers=2)
    return {name: parameter for name, parameter in model.named_parameters() if name in names}


def test_every_moving_parameter_is_in_one_group_of_its_part_and_vectors_do_not_decay():
    parameters = named()
    optimizer = make_optimizer(parameters, OptimizerSettings(weight_decay=0.3, betas=(0.8, 0.9)))
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(parameters)
    for name, parameter in parameters.items():
        (group,) = [group for group in optimizer.param_groups if any(parameter is one for one in group["params"])]
        assert group["part"] == part_of(name)
        assert group["weight_decay"] == (0.3 if parameter.ndim > 1 else 0)
        assert group["betas"] == (0.8, 0.9)
        assert group["fused"]
    assert len(named(tied=True)) == len(parameters) - 1


def test_rates_and_gradients_follow_and_a_change_of_what_moves_is_told():
    parameters = named()
    optimizer = make_optimizer(parameters, OptimizerSettings())
    assert follow(optimizer, parameters, Rates(0.1, 0, 0), num_layers=2)
    assert {name for name, one in parameters.items() if one.requires_grad} == {
        "multi_modal_projector.linear.weight",
        "multi_modal_projector.linear.bias",
    }
    assert not follow(optimizer, parameters, Rates(0.2, 0, 0), num_layers=2)
    assert {group["part"]: group["lr"] for group in optimizer.param_groups} == {
        "projector": 0.2,
        "decoder": 0,
        "encoder": 0,
    }
    assert follow(optimizer, parameters, Rates(0.2, 0, 0.1, 1), num_layers=2)
    assert follow(optimizer, parameters, Rates(0.2, 0, 0.1, 2), num_layers=2)


def test_of_a_part_with_adapters_the_adapters_alone_move():
    names = [
        "language_model.model.layers.0.mlp.up_proj.base_layer.weight",
        "language_model.model.layers.0.mlp.up_proj.lora_A.default.weight",
        "language_model.model.norm.weight",
        "multi_modal_projector.linear.weight",
    ]
    assert movable(names, ALL, num_layers=2) == [names[1], names[3]]
    assert movable(names, (PhaseSettings(projector=1),), num_layers=2) == [names[3]]


@pytest.mark.parametrize("largest", [0.5, 100.0])
def test_the_gradient_is_scaled_to_the_largest_norm_and_no_shorter(largest: float):
    parameters = {"a": torch.nn.Parameter(torch.zeros(2)), "b": torch.nn.Parameter(torch.zeros(1, 1))}
    parameters["unused"] = torch.nn.Parameter(torch.zeros(3))
    parameters["a"].grad, parameters["b"].grad = torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])
    assert clip(parameters, largest) == pytest.approx(5.0)
    length = min(1, largest / 5)
    assert parameters["a"].grad.tolist() == pytest.approx([3 * length, 0], rel=1e-5)
    assert parameters["b"].grad.item() == pytest.approx(4 * length, rel=1e-5)
