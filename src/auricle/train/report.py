"""What the loop says after a step, and who listens."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step over all ranks.

    step: steps done so far; num_steps: of the run. logged: means by name (`loss`, `loss/asr`, `margin`).
    rates: learning rates by part (`projector`, `decoder`, `encoder`). tokens: read; supervised: of them learnt;
    audio_s: seconds of sound heard. seconds: the step took, waiting for data included. flops: of real work, forward
    and backward. refused: a sentence for each sample that is left out, at the first step that would have heard it.
    """

    step: int
    num_steps: int
    logged: dict[str, float]
    rates: dict[str, float]
    grad_norm: float
    tokens: int
    supervised: int
    audio_s: float
    seconds: float
    flops: float
    refused: tuple[str, ...] = ()


class Listener(Protocol):
    """Told after every step and every checkpoint; only rank 0 has one that does anything."""

    def step(self, report: StepReport) -> None:
        """A step is done."""
        ...

    def note(self, step: int, values: dict[str, float]) -> None:
        """Something was measured beside the steps: held-out loss, alignment probe, word error rate."""
        ...
