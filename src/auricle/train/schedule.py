"""Which parameters move at a point of a run, and how fast: phases, one warm-up, one cosine.

Progress is a number above 0 and up to 1: of step `n` (from 0) of `N` it is (n + 1) / N.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from auricle.errors import UserError
from auricle.train.settings import OptimizerSettings, PhaseSettings

Part = Literal["projector", "decoder", "encoder"]
PARTS: tuple[Part, ...] = ("projector", "decoder", "encoder")
_PREFIXES: dict[str, Part] = {
    "multi_modal_projector.": "projector",
    "language_model.": "decoder",
    "audio_tower.": "encoder",
}
_POSITIONS = "audio_tower.embed_positions."  # sinusoids; the published model does not train them either
_ENCODER_LAYER = re.compile(r"audio_tower\.layers\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class Rates:
    """The learning rate of each part; 0 stands still.

    encoder_layers: only so many of the encoder's layers move, from the top, and the norm above them; None: the whole
    encoder, convolutions included.
    """

    projector: float
    decoder: float
    encoder: float
    encoder_layers: int | None = None

    def of(self, part: Part) -> float:
        """The rate of one part."""
        return {"projector": self.projector, "decoder": self.decoder, "encoder": self.encoder}[part]


def rates(phases: Sequence[PhaseSettings], optimizer: OptimizerSettings, progress: float, *, num_layers: int) -> Rates:
    """What moves at a progress of the run; `num_layers` are the encoder's."""
    number = next(i for i, phase in enumerate(phases) if progress <= phase.until)
    phase = phases[number]
    layers = phase.encoder_layers
    if layers == "step by step":
        begin = phases[number - 1].until if number else 0.0
        layers = max(1, math.ceil((progress - begin) / (phase.until - begin) * num_layers - 1e-9))
    scale = factor(optimizer, progress)
    return Rates(phase.projector * scale, phase.decoder * scale, phase.encoder * scale, layers)


def factor(optimizer: OptimizerSettings, progress: float) -> float:
    """Of the peak rates: a straight line from 0 to 1 over the warm-up, then half a cosine down to the final share."""
    if progress < optimizer.warmup:
        return progress / optimizer.warmup
    done = (progress - optimizer.warmup) / (1 - optimizer.warmup)
    return optimizer.final_share + (1 - optimizer.final_share) * (1 + math.cos(math.pi * done)) / 2


def part_of(name: str) -> Part:
    """The part that a parameter of the model belongs to."""
    return next(part for prefix, part in _PREFIXES.items() if name.startswith(prefix))


def moves(name: str, now: Rates, *, num_layers: int) -> bool:
    """Whether a parameter of the model moves at these rates."""
    part = part_of(name)
    if not now.of(part) or name.startswith(_POSITIONS):
        return False
    return part != "encoder" or now.encoder_layers is None or _depth(name, num_layers) <= now.encoder_layers


def ever_moves(name: str, phases: Sequence[PhaseSettings], *, num_layers: int) -> bool:
    """Whether a parameter of the model moves in any phase of the run."""
    for phase in phases:
        layers = num_layers if phase.encoder_layers == "step by step" else phase.encoder_layers
        if moves(name, Rates(phase.projector, phase.decoder, phase.encoder, layers), num_layers=num_layers):
            return True
    return False


def check_phases(phases: Sequence[PhaseSettings], optimizer: OptimizerSettings, *, num_layers: int) -> None:
    """Raise UserError where the phases do not make one run of a model with so many encoder layers."""
    untils = [phase.until for phase in phases]
    if not phases or sorted({*untils}) != untils or untils[0] <= 0 or untils[-1] != 1:
        raise UserError(
            f"the phases end at {untils}; expected one or more shares of the run, each larger than the last, up to 1"
        )
    for number, phase in enumerate(phases, start=1):
        if min(phase.projector, phase.decoder, phase.encoder) < 0 or not any(
            (phase.projector, phase.decoder, phase.encoder)
        ):
            raise UserError(f"in phase {number} nothing moves or a rate is negative; give at least one rate above 0")
        layers = phase.encoder_layers
        if isinstance(layers, int) and not 1 <= layers <= num_layers:
            raise UserError(
                f"phase {number} moves {layers} of the encoder's layers; expected 1 to {num_layers}, 'step by step', "
                "or null for the whole encoder"
            )
    if not 0 <= optimizer.warmup < 1:
        raise UserError(f"optimizer.warmup is {optimizer.warmup}; expected a share of the run, at least 0 and below 1")


def _depth(name: str, num_layers: int) -> int:
    """1 for the encoder's highest layer and the norm above it, 2 for the next; the convolutions are the deepest."""
    if name.startswith("audio_tower.layer_norm."):
        return 1
    layer = _ENCODER_LAYER.match(name)
    return num_layers - int(layer[1]) if layer else num_layers + 1
