"""What is learnt from, what is held out, and how recordings are changed on the way."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """A manifest (jsonl, a tar shard or a pattern of them, or a folder) and its share of the draws.

    task: for a manifest whose lines name none. weight: hours, or any unit that all sources share.
    """

    path: Path
    weight: float = 1.0
    task: str | None = None


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """Chances and ranges; the brief's noise of 5 to 20 dB, speed of 0.9 to 1.1 and gain, and room, telephone, masks.

    noise: a folder of noise recordings; None makes coloured noise.
    """

    chance: float = 0.0  # that a recording is changed at all
    noise: Path | None = None
    noise_chance: float = 0.5
    snr_db: tuple[float, float] = (5.0, 20.0)
    speed_chance: float = 0.5
    speed: tuple[float, float] = (0.9, 1.1)
    gain_db: tuple[float, float] = (-12.0, 6.0)
    room_chance: float = 0.25
    telephone_chance: float = 0.15
    mask_chance: float = 0.5  # SpecAugment


@dataclass(frozen=True, slots=True)
class DataSettings:
    """What is learnt from and what is held out.

    packs_per_step: over all ranks together, so that a run means the same on any number of them.
    max_refused: samples that cannot be heard and are left out, named in refused.jsonl; one more ends the run.
    """

    train: tuple[SourceSettings, ...] = ()
    heldout: tuple[SourceSettings, ...] = ()
    pack_tokens: int = 4096
    packs_per_step: int = 8
    num_workers: int = 2
    max_refused: int = 100
    few_shot: float = 0.0  # share of stage 1's examples that show solved ones first
    augment: AugmentSettings = AugmentSettings()
