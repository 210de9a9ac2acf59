"""What a run with adapters may ask for, and whether its adapters alone say what it learnt."""

from collections.abc import Iterable

from auricle.errors import UserError
from auricle.extend import LoraSettings, is_adapter, target_names
from auricle.model import Qwen2Audio
from auricle.train.schedule import PARTS, Part, ever_moves, part_of
from auricle.train.settings import Recipe


def check_adapters(model: Qwen2Audio, recipe: Recipe) -> tuple[str, ...]:
    """What the user should know about the parts that are trained in full, a sentence each; nothing without adapters.

    Args:
        model: as read.
        recipe: its phases make one run.

    Raises:
        UserError: adapters would stand still in all phases, or two settings contradict each other.
    """
    if recipe.lora is None:
        return ()
    if recipe.rounded_bits is not None and recipe.lora.quantised_bits is not None:
        raise UserError(
            "rounded_bits trains the decoder through rounding and lora.quantised_bits packs it for good; leave one of "
            "them out"
        )
    adapted = _adapted_parts(model, recipe, recipe.lora)
    full = [part for part in PARTS if part not in adapted and any(getattr(phase, part) > 0 for phase in recipe.phases)]
    if "decoder" in full and recipe.lora.quantised_bits is not None:
        raise UserError(
            "lora.quantised_bits packs the decoder, which then cannot be trained in full; let lora.targets name maps "
            "of the decoder, or give no phase a rate for it"
        )
    if not full:
        return ()
    if holds_everything(full):
        return ("the projector has no adapters and is trained in full; the adapter directory holds it beside them",)
    return (
        f"trained in full, since it has no adapters: {', '.join(full)}; no adapter directory will be written, the "
        "model directory holds everything",
    )


def holds_everything(full: Iterable[Part]) -> bool:
    """Whether an adapter directory may hold all that moved, given the parts that moved in full.

    Of those it takes the projector (peft's `modules_to_save`); the others are larger than the adapters by far.
    """
    return {*full} <= {"projector"}


def moved_in_full(masters: Iterable[str]) -> set[Part]:
    """The parts whose own parameters are among those that move."""
    return {part_of(name) for name in masters if not is_adapter(name)}


def _adapted_parts(model: Qwen2Audio, recipe: Recipe, settings: LoraSettings) -> set[Part]:
    targets = target_names(model, settings)
    num_layers = model.config.audio.num_layers
    adapted = {part_of(name) for name in targets}
    moving = {part_of(name) for name in targets if ever_moves(name, recipe.phases, num_layers=num_layers)}
    for part in PARTS:
        if part in adapted - moving:
            raise UserError(
                f"lora.targets puts adapters into the {part}, but in no phase do they move; give a phase a rate for "
                f"{part}, or let lora.targets name other maps"
            )
    return adapted
