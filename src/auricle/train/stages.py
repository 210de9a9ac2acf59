"""The stages as values: what is made of a record, how the data are weighted, and recipes to start from.

The rates of `qwen2_audio` and the order in which its parts move are the brief's, for 7B; the paper states none. Those
of `small` are for models of some 100 M parameters, as `mini` was trained: such a model takes rates ten times as high.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from auricle.data.balance import balanced
from auricle.data.modes import sft_make
from auricle.data.prompts import pretrain_make, read_bank
from auricle.data.records import Labelled, Record
from auricle.data.settings import BalanceSettings, DataSettings, VoiceSettings
from auricle.data.source import Source
from auricle.data.survey import seen_in
from auricle.data.tasks import default_weights, task_named
from auricle.data.voice_chat import hesitation
from auricle.errors import UserError
from auricle.train.objective import CrossEntropy
from auricle.train.settings import DpoSettings, OptimizerSettings, PhaseSettings, Recipe
from auricle.train.shares import by_dimension
from auricle.train.stage import Stage, StageName

PRESETS = ("qwen2_audio", "small")
_MOST_FILLERS = 1000


def supervised_stage(name: StageName, recipe: Recipe, sources: Sequence[Source]) -> Stage:
    """Stage 1 or 2: cross-entropy on the answers.

    Args:
        name: `pretrain` or `sft`; dpo needs a reference model and is made in `train.dpo`.
        recipe: `data.few_shot` is the share of stage 1's prompts that show solved examples, `data.voice` says how
            often stage 2's voice chats are changed.
        sources: where solved examples, the turns that lengthen a voice chat and the hesitation before a turn come
            from. Without any, prompts show no examples and conversations stay as they are: for held-out data.

    Raises:
        UserError: a setting is wrong.
    """
    bank = read_bank()
    if name == "pretrain":
        return Stage(name, pretrain_make(bank, few_shot=recipe.data.few_shot, sources=sources), CrossEntropy())
    if name != "sft":
        raise ValueError(f"{name} is no supervised stage")
    fillers = list(islice(seen_in(sources, hesitation), _MOST_FILLERS))
    voice = recipe.data.voice if sources else VoiceSettings(join=0.0, interrupt=0.0, filler=0.0)
    return Stage(name, sft_make(bank, sources=sources, fillers=fillers, voice=voice), CrossEntropy())


@dataclass(frozen=True, slots=True)
class Weighted:
    """sources: with the weights to draw by. notes: what the user should know about them, a sentence each."""

    sources: tuple[Source, ...]
    notes: tuple[str, ...] = ()


def weighted(name: StageName, recipe: Recipe, sources: Sequence[Source]) -> Weighted:
    """How often each source, and each of its records, is drawn.

    pretrain: as the recipe says; where it gives no weight at all, families of tasks in the proportions of the brief's
    hours (`data.tasks.FAMILY_HOURS`), a family's sources by their numbers of records. sft: as the recipe says,
    bent to the ratios of `data.balance` where it is given. dpo: as the recipe says, split by `dpo.shares`.

    Raises:
        UserError: as `balanced`, `default_weights` and `by_dimension`.
    """
    if name == "dpo":
        return Weighted(tuple(by_dimension(sources, recipe.dpo.shares)))
    if name == "sft":
        if recipe.data.balance is None:
            return Weighted(tuple(sources))
        balance = balanced(sources, recipe.data.balance)
        return Weighted(balance.sources, balance.shortfalls)
    if len(sources) < 2 or any(source.weight != 1 for source in sources):
        return Weighted(tuple(sources))
    return _by_hours(sources)


def _by_hours(sources: Sequence[Source]) -> Weighted:
    tasks = {}
    for number, source in enumerate(sources):
        first = next(seen_in([source], _task), None)
        if first is None:
            raise UserError(f"{source.name} holds no labelled recording, from which stage 1 learns; leave it out")
        tasks[str(number)] = (first, float(len(source.records)))
    weights = default_weights(tasks)
    total = sum(weights.values())
    shares = ", ".join(f"{s.name} {weights[str(n)] / total:.1%}" for n, s in enumerate(sources))
    note = f"no source has a weight, so they are drawn by the published hours of their tasks: {shares}"
    return Weighted(tuple(replace(s, weight=weights[str(n)]) for n, s in enumerate(sources)), (note,))


def _task(record: Record) -> str | None:
    return task_named(record.task).name if isinstance(record, Labelled) else None


def preset(stage: StageName, name: str) -> Recipe:
    """A recipe to start from, without model, data and folder; stage 2's draws by the brief's ratios.

    Raises:
        UserError: there is no such preset.
    """
    if name not in PRESETS:
        raise UserError(f"unknown preset {name!r}: expected {' or '.join(PRESETS)}")
    recipe = _PRESETS[name, stage]()
    return replace(recipe, data=replace(recipe.data, balance=BalanceSettings())) if stage == "sft" else recipe


def _large(phases: tuple[PhaseSettings, ...], dpo: DpoSettings | None = None) -> Recipe:
    """bfloat16 over float32 masters, text to 8192."""
    return Recipe(
        dtype="bfloat16",
        checkpointing="selective",
        data=DataSettings(pack_tokens=8192, packs_per_step=64),
        phases=phases,
        dpo=dpo or DpoSettings(),
        max_tokens=8192,
    )


def _large_pretrain() -> Recipe:
    """The projector alone; the encoder too, layer after layer from the top; everything."""
    return _large(
        (
            PhaseSettings(until=0.2, projector=1e-4),
            PhaseSettings(until=0.5, projector=1e-4, encoder=1e-5, encoder_layers="step by step"),
            PhaseSettings(until=1.0, projector=1e-4, encoder=1e-5, decoder=1e-5),
        )
    )


def _large_sft() -> Recipe:
    """Every parameter at 2e-5, on a cosine."""
    return _large((PhaseSettings(projector=2e-5, encoder=2e-5, decoder=2e-5),))


def _large_dpo() -> Recipe:
    """At 1e-6, falling to 5e-7: the range that peers use; beta is the brief's."""
    recipe = _large((PhaseSettings(projector=1e-6, encoder=1e-6, decoder=1e-6),), DpoSettings(beta=0.1))
    return replace(recipe, optimizer=OptimizerSettings(final_share=0.5))


def _small_pretrain() -> Recipe:
    """The projector alone until it has begun to align, then the decoder as well, late the encoder's two top layers."""
    return Recipe(
        phases=(
            PhaseSettings(until=0.1, projector=1e-3),
            PhaseSettings(until=0.6, projector=1e-3, decoder=4e-4),
            PhaseSettings(until=1.0, projector=1e-3, decoder=4e-4, encoder=3e-5, encoder_layers=2),
        ),
        optimizer=OptimizerSettings(betas=(0.9, 0.98), final_share=0.03),
    )


def _small_sft() -> Recipe:
    """What a small model tolerates: 5e-5, the encoder slower."""
    return Recipe(phases=(PhaseSettings(projector=5e-5, decoder=5e-5, encoder=1e-5, encoder_layers=2),))


def _small_dpo() -> Recipe:
    """At 5e-6, with a little of the chosen answers' likelihood, so that both answers do not sink together."""
    return Recipe(phases=(PhaseSettings(projector=5e-6, decoder=5e-6),), dpo=DpoSettings(beta=0.1, nll_weight=0.2))


_PRESETS: dict[tuple[str, StageName], Callable[[], Recipe]] = {
    ("qwen2_audio", "pretrain"): _large_pretrain,
    ("qwen2_audio", "sft"): _large_sft,
    ("qwen2_audio", "dpo"): _large_dpo,
    ("small", "pretrain"): _small_pretrain,
    ("small", "sft"): _small_sft,
    ("small", "dpo"): _small_dpo,
}
