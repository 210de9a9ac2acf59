"""All that a training run is told: defaults < preset < yaml < `key=value` on the command line."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from auricle.data.settings import DataSettings
from auricle.extend.settings import LoraSettings


@dataclass(frozen=True, slots=True)
class PhaseSettings:
    """A part of a run, up to `until` of it (1 is the end), and the peak rates of what moves; 0 stands still.

    encoder_layers: how many of the encoder's layers move, from the top; `step by step` lets one more in after
    another over the phase; None moves the whole encoder, convolutions included.
    """

    until: float = 1.0
    projector: float = 0.0
    decoder: float = 0.0
    encoder: float = 0.0
    encoder_layers: int | Literal["step by step"] | None = None


@dataclass(frozen=True, slots=True)
class OptimizerSettings:
    """AdamW; the rates of all phases follow one warm-up and one cosine."""

    warmup: float = 0.03  # share of the run
    final_share: float = 0.1  # of the peak rate, at the end
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.01
    clip: float = 1.0  # largest norm of the gradient


@dataclass(frozen=True, slots=True)
class DpoSettings:
    """Direct preference optimisation.

    nll_weight: of the chosen answer's mean negative log-likelihood, added to the loss. shares: how often each
    dimension is drawn, the brief's 40 : 30 : 20 : 10.
    rollouts: above 0, so many answers are drawn to each prompt in training and the best and the worst make the pair.
    rollout_length_tolerance: the most that a pair's tokens differ by, as a share of the longer; None keeps any.
    rollout_judge: URL of an OpenAI-compatible server that judges helpfulness as well; rollout_judge_model: its name of
    the model that does.
    """

    beta: float = 0.1
    nll_weight: float = 0.0
    shares: tuple[float, float, float, float] = (0.4, 0.3, 0.2, 0.1)  # factual, instruction, safety, helpfulness
    rollouts: int = 0
    rollout_temperature: float = 0.8
    rollout_top_p: float = 1.0
    rollout_max_tokens: int = 256  # of an answer
    rollout_margin: float = 0.1
    rollout_length_tolerance: float | None = None
    rollout_judge: str | None = None
    rollout_judge_model: str = ""
    cache: Path | None = None  # of the reference's log-probabilities; None: in the run folder


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """What is measured while it trains; `every` counts steps, 0 never.

    num_heldout: examples for loss and alignment probe. num_answers: of them, answered and scored.
    """

    every: int = 200
    num_heldout: int = 128
    num_answers: int = 16
    log_every: int = 10
    tensorboard: bool = False
    wandb: bool = False


@dataclass(frozen=True, slots=True)
class SaveSettings:
    """Checkpoints; `every` counts steps, `keep` the newest ones."""

    every: int = 500
    keep: int = 2


@dataclass(frozen=True, slots=True)
class Recipe:
    """One run of one stage.

    model: what to start from: a directory, a hub id or `mini`. dtype: of the arithmetic; masters are float32.
    checkpointing: recompute activations in the backward: of no layer, of all, or of all but the costly products.
    rounded_bits: the decoder's layers hear themselves rounded to so many bits, as they will ship; None, exact.
    max_tokens: of one sequence; longer ones are refused, never cut.
    """

    model: str = "mini"
    out: Path = Path("run")
    steps: int = 1000
    seed: int = 0
    device: str = "auto"
    dtype: Literal["float32", "bfloat16"] = "float32"
    checkpointing: Literal["none", "full", "selective"] = "none"
    data: DataSettings = field(default_factory=DataSettings)
    phases: tuple[PhaseSettings, ...] = ()
    optimizer: OptimizerSettings = OptimizerSettings()
    lora: LoraSettings | None = None
    rounded_bits: int | None = None
    dpo: DpoSettings = DpoSettings()
    watch: WatchSettings = WatchSettings()
    save: SaveSettings = SaveSettings()
    max_tokens: int = 8192
