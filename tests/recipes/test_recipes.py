"""Every recipe that ships is read by the trainer's own settings; a misspelt key would be named here."""

from pathlib import Path

import pytest

from auricle.settings import read_settings
from auricle.train.settings import Recipe
from auricle.train.stages import preset

RECIPES = sorted((Path(__file__).parents[2] / "recipes").rglob("*.yaml"))


def test_all_stages_have_theirs():
    names = {str(path.relative_to(path.parents[1])) for path in RECIPES}
    stages = ("pretrain", "sft", "dpo")
    assert {f"{folder}/{stage}.yaml" for folder in ("mini", "7b", "tiny") for stage in stages} <= names


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_it_is_read_and_says_what_moves(path):
    recipe = read_settings(Recipe(), path)
    assert recipe.data.train
    assert recipe.phases[-1].until == 1
    assert [phase.until for phase in recipe.phases] == sorted({phase.until for phase in recipe.phases})
    assert all(phase.projector or phase.decoder or phase.encoder for phase in recipe.phases)
    assert recipe.data.pack_tokens <= 8192


@pytest.mark.parametrize("path", [path for path in RECIPES if path.parent.name == "7b"], ids=lambda path: path.stem)
def test_the_7b_says_its_momentum_whatever_the_preset(path):
    assert read_settings(preset("pretrain", "small"), path).optimizer.betas == (0.9, 0.95)


def test_the_7b_follows_the_brief():
    folder = Path(__file__).parents[2] / "recipes" / "7b"
    pretrain, sft, dpo = (read_settings(Recipe(), folder / f"{stage}.yaml") for stage in ("pretrain", "sft", "dpo"))
    assert [(p.projector, p.encoder, p.decoder) for p in pretrain.phases] == [
        (1e-4, 0, 0),
        (1e-4, 1e-5, 0),
        (1e-4, 1e-5, 1e-5),
    ]
    assert pretrain.phases[1].encoder_layers == "step by step"
    hours = [source.weight for source in pretrain.data.train]
    assert [round(100 * weight / sum(hours), 1) for weight in hours] == [71.2, 26.9, 1.9]
    assert {(p.projector, p.encoder, p.decoder) for p in sft.phases} == {(2e-5, 2e-5, 2e-5)}
    assert (sft.max_tokens, dpo.dpo.beta, dpo.dpo.shares) == (8192, 0.1, (0.4, 0.3, 0.2, 0.1))
