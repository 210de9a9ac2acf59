"""What each stage minimises, its reference opened."""

from functools import partial

import torch

from auricle.content_cache import ContentCache
from auricle.extend import is_adapter, without_lora
from auricle.train.distributed import Ranks, settle
from auricle.train.dpo import DpoObjective
from auricle.train.objective import CrossEntropy, Objective
from auricle.train.opening import Opened
from auricle.train.reference import FrozenCopy, Nll, Reference, fingerprint, without_adapter
from auricle.train.session import DTYPES, extend_model, master_names
from auricle.train.trainee import Trainee
from auricle.weights import read_model


def make_objective(opened: Opened, trainee: Trainee, weights: str) -> Objective:
    """Cross-entropy, or preferences against the model that the run started from.

    The reference is the model itself without its adapters where nothing else of it moves and it is whole here; else a
    copy, which is read when a log-probability is first asked for that the cache does not hold.

    Args:
        opened: the run's parts.
        trainee: the policy.
        weights: the fingerprint of the model as it was read; only dpo asks for it.
    """
    recipe = opened.recipe
    if opened.stage != "dpo":
        return CrossEntropy()
    nll: Nll
    if opened.ranks.size == 1 and all(map(is_adapter, master_names(trainee.model, recipe))):
        nll = without_adapter(trainee, partial(without_lora, trainee.model), DTYPES[recipe.dtype])
    else:
        nll = FrozenCopy(partial(_read_again, opened), DTYPES[recipe.dtype])
    cache = ContentCache(recipe.dpo.cache or recipe.out / "reference.sqlite")
    return DpoObjective(Reference(cache, weights, nll), beta=recipe.dpo.beta, nll_weight=recipe.dpo.nll_weight)


def fingerprint_of(opened: Opened) -> str:
    """Of the model as it was read, and of all that changes what it computes."""
    recipe = opened.recipe
    bits = (recipe.rounded_bits, recipe.lora and recipe.lora.quantised_bits)
    return fingerprint(opened.checkpoint.model, f"{recipe.dtype} {bits} {opened.ranks.size > 1}")


def _read_again(opened: Opened) -> Trainee:
    """The policy as it was before the first step, whole on this rank, in the precision that the policy computes in."""
    recipe, ranks = opened.recipe, opened.ranks
    model = read_model(opened.checkpoint.directory, dtype=None, device=torch.device("cpu"))
    extend_model(model, recipe)
    masters = master_names(model, recipe) if ranks.size == 1 else frozenset[str]()
    trainee = Trainee(model)
    settle(trainee, Ranks(0, 1, ranks.device), masters, DTYPES[recipe.dtype])
    return trainee
