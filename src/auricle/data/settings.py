"""What is learnt from, what is held out, and how recordings are changed on the way."""

from dataclasses import dataclass
from pathlib import Path

from auricle.errors import UserError


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
class BalanceSettings:
    """What stage 2 is asked to draw, as parts that are divided by their sum; classes without a record leave theirs.

    length: short, medium, long: of the draws that hear anything, those whose longest recording is under 30 s, under
    120 s, or longer: the brief's short and long alike, and a little of what lies between. mode: analysis, voice chat,
    interleaved, text: ours, the brief gives none. complexity: simple, complex: the brief's 3 : 7.
    most_change: no record is drawn so many times more often, or more seldom, than its source's weight alone has it.
    """

    length: tuple[float, float, float] = (0.45, 0.1, 0.45)
    mode: tuple[float, float, float, float] = (0.5, 0.35, 0.1, 0.05)
    complexity: tuple[float, float] = (0.3, 0.7)
    most_change: float = 20.0

    def __post_init__(self) -> None:
        for name in ("length", "mode", "complexity"):
            shares = getattr(self, name)
            if not min(shares) > 0:
                raise UserError(f"shares of {name} must be numbers above 0: got {list(shares)}")
        if not self.most_change >= 1:
            raise UserError(f"most_change must be at least 1: got {self.most_change}; 1 leaves the draws as they are")


@dataclass(frozen=True, slots=True)
class VoiceSettings:
    """How often a voice chat is changed on its way, as shares of the draws.

    join: others of its source follow it, up to `most_turns` of the user and `longest_s` of sound. interrupt: an answer
    is cut short by the user's next turn. filler: a recording of hesitation stands before the words of a turn.
    """

    join: float = 0.2
    most_turns: int = 5
    longest_s: float = 120.0
    interrupt: float = 0.1
    filler: float = 0.1

    def __post_init__(self) -> None:
        for name in ("join", "interrupt", "filler"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} must lie in 0 to 1: got {getattr(self, name)}; it is a share of voice chats")
        if self.most_turns < 2:
            raise UserError(f"most_turns must be at least 2: got {self.most_turns}; set join to 0 for none")
        if not self.longest_s > 0:
            raise UserError(f"longest_s must be above 0: got {self.longest_s}; set join to 0 for none")


@dataclass(frozen=True, slots=True)
class DataSettings:
    """What is learnt from and what is held out.

    packs_per_step: over all ranks together, so that a run means the same on any number of them.
    max_refused: different samples that cannot be heard and are left out, each named once in refused.jsonl, however
    often it is drawn; one more ends the run.
    balance: of stage 2, the ratios to which the weights of the sources are bent; None draws by the weights as they are.
    voice: of stage 2, how often voice chats are changed.
    """

    train: tuple[SourceSettings, ...] = ()
    heldout: tuple[SourceSettings, ...] = ()
    pack_tokens: int = 4096
    packs_per_step: int = 8
    num_workers: int = 2
    max_refused: int = 100
    few_shot: float = 0.0  # share of stage 1's examples that show solved ones first
    augment: AugmentSettings = AugmentSettings()
    balance: BalanceSettings | None = None
    voice: VoiceSettings = VoiceSettings()
