"""A run small enough for a test: a tiny model, packs made of numbers, losses in a file. Also a program:

python toy.py OUT '{"steps": 12, "save": {"every": 4}}' [KILL]

KILL: `step:7` dies by SIGKILL when the 8th step is reported, `write:2` in the middle of the second checkpoint, `wait`
writes `going` into OUT when the first step is done and then takes its time.
"""

import json
import math
import os
import signal
import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp

from auricle.data import Label, Pack
from auricle.data.refusal import Refusal
from auricle.data.settings import DataSettings
from auricle.data.stream import Step
from auricle.model import AudioEncoderConfig, DecoderConfig, PackedInput, Qwen2Audio, Qwen2AudioConfig
from auricle.train.checkpoint import Checkpoints
from auricle.train.distributed import Ranks, join_ranks
from auricle.train.lines import Lines
from auricle.train.objective import CrossEntropy
from auricle.train.report import StepReport
from auricle.train.resume import locked
from auricle.train.session import find_start, learn, make_trainee
from auricle.train.settings import PhaseSettings, Recipe, SaveSettings, WatchSettings
from auricle.train.stopping import stop_requests
from auricle.train.trainee import Trainee as Trainee

NUM_MELS, VOCABULARY, AUDIO = 8, 64, 63


def tiny(seed: int = 0, *, tied: bool = False) -> Qwen2Audio:
    """Two encoder layers, two decoder layers, lively weights."""
    audio = AudioEncoderConfig(num_mel_bins=NUM_MELS, width=16, num_layers=2, num_heads=2, mlp_width=24, max_states=64)
    text = DecoderConfig(
        vocab_size=VOCABULARY,
        width=24,
        num_layers=2,
        num_heads=3,
        num_kv_heads=1,
        head_width=8,
        mlp_width=32,
        norm_eps=1e-6,
        rope_theta=1e4,
        max_tokens=512,
        tied_head=tied,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2Audio(Qwen2AudioConfig(audio, text, AUDIO))
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=1 / math.sqrt(parameter[0].numel()))
            else:
                torch.nn.init.normal_(parameter, mean=parameter.detach().mean().round().item(), std=0.1)
    return model.requires_grad_(False)


def make_pack(seed: int, *, with_sound: bool = True, num_sequences: int = 2) -> Pack:
    """Sequences of 5 to 12 words after a recording of 2 to 4 audio tokens; a third to all of the words are learnt."""
    draw = torch.Generator().manual_seed(seed)

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=draw))

    ids, lengths, features, num_frames, places, owners = [], [], [], [], [], []
    for owner in range(num_sequences):
        num_audio = number(2, 4) if with_sound else 0
        words = torch.randint(0, AUDIO, (number(5, 12),), generator=draw).tolist()
        start = len(ids)
        ids += [*[AUDIO] * num_audio, *words]
        lengths.append(len(ids) - start)
        learnt = number(len(words) // 3, len(words) - 1)
        places += range(len(ids) - learnt - 1, len(ids) - 1)
        owners += [owner] * learnt
        if with_sound:
            num_frames.append(4 * num_audio - 1)
            features.append(torch.randn(NUM_MELS, 4 * num_audio, generator=draw))
    ids_T, places_P = torch.tensor(ids), torch.tensor(places)
    inputs = PackedInput(ids_T, tuple(lengths), tuple(features), tuple(num_frames), tuple(range(len(features))))
    labels = tuple(Label(f"toy:{seed}", "toy", ("asr", "caption")[owner % 2]) for owner in range(num_sequences))
    return Pack(inputs, places_P, ids_T[places_P + 1], torch.tensor(owners), labels)


def empty_pack(refused: Sequence[Refusal]) -> Pack:
    """Nothing of it could be heard."""
    nothing = torch.zeros(0, dtype=torch.int64)
    return Pack(PackedInput(nothing, (), (), (), ()), nothing, nothing, nothing, (), tuple(refused))


@dataclass
class ToyStream:
    """Packs that their step and place decide, some without sound, over any number of ranks."""

    ranks: Ranks
    packs_per_step: int
    pauses_s: float = 0.0
    start: int = 0
    changed: dict[tuple[int, int], Pack] = field(default_factory=dict)

    def load_state(self, state: dict[str, Any]) -> None:
        self.start = state["next"]

    def pack(self, step: int, place: int) -> Pack:
        made = make_pack(1000 * step + place, with_sound=(step + place) % 3 != 0)
        return self.changed.get((step, place), made)

    def __iter__(self) -> Generator[Step, None, None]:
        for step in range(self.start, sys.maxsize):
            time.sleep(self.pauses_s)
            own = range(self.ranks.rank, self.packs_per_step, self.ranks.size)
            packs = tuple(self.pack(step, place) for place in own)
            yield Step(step, packs, -(-self.packs_per_step // self.ranks.size), {"next": step + 1})


class Scribe:
    """A listener that keeps losses and norms to the last bit, and on disk with `out`."""

    def __init__(self, out: Path | None = None, step: int = 0) -> None:
        self.reports: list[StepReport] = []
        self.notes: list[tuple[int, dict[str, float]]] = []
        self._lines = None if out is None else Lines(out / "metrics.jsonl")
        if self._lines:
            self._lines.cut(step)

    def step(self, report: StepReport) -> None:
        self.reports.append(report)
        if self._lines:
            logged = {name: value.hex() for name, value in sorted(report.logged.items())}
            read = {"tokens": report.tokens, "supervised": report.supervised, "audio_s": report.audio_s}
            self._lines.append({"step": report.step, **logged, "norm": report.grad_norm.hex(), **read})

    def note(self, step: int, values: dict[str, float]) -> None:
        self.notes.append((step, values))


def recipe_of(out: Path, settings: dict[str, Any]) -> Recipe:
    """What a toy run is told, changed by plain settings."""
    save = SaveSettings(**{"every": 5, "keep": 2, **settings.pop("save", {})})
    data = DataSettings(**{"packs_per_step": 2, **settings.pop("data", {})})
    phases = tuple(PhaseSettings(**phase) for phase in settings.pop("phases", PHASES))
    recipe = Recipe(out=out, steps=12, device="cpu", data=data, phases=phases, save=save, watch=WatchSettings(every=0))
    return replace(recipe, **settings)


PHASES: list[dict[str, Any]] = [
    {"until": 0.25, "projector": 1e-2},
    {"until": 0.75, "projector": 1e-2, "decoder": 3e-3, "encoder": 1e-3, "encoder_layers": "step by step"},
    {"until": 1.0, "projector": 3e-3, "decoder": 1e-3, "encoder": 1e-3},
]


def toy_run(recipe: Recipe, *, kill: str = "", tied: bool = False) -> list[StepReport]:
    """From the newest checkpoint to the end."""
    what, _, when = kill.partition(":")
    with join_ranks("cpu") as ranks, stop_requests() as asked:
        checkpoints = Checkpoints(recipe.out, ranks, keep=recipe.save.keep)
        start = find_start(recipe, "pretrain", checkpoints)
        scribe = Scribe(recipe.out, start.point.step) if ranks.is_first else Scribe()
        stream = ToyStream(ranks, recipe.data.packs_per_step, 0.3 if what == "wait" else 0.0)
        if what == "step":
            scribe.step = _dying(scribe.step, int(when))
        if what == "write":
            dcp.save = _dying_halfway(dcp.save, int(when))
        if what == "wait":
            scribe.step = _telling(scribe.step, recipe.out / "going")
        point = learn(
            recipe,
            ranks,
            start,
            checkpoints,
            trainee=make_trainee(tiny(tied=tied), recipe, ranks),
            objective=CrossEntropy(),
            stream=stream,
            listeners=(scribe,) if ranks.is_first else (),
            watch=lambda step: None,
            asked_to_stop=asked,
        )
        if point.step < recipe.steps:
            print("stopped at", point.step, flush=True)
        return scribe.reports


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _dying(step: Any, number: int) -> Any:
    def die_at(report: StepReport) -> None:
        step(report)
        if report.step == number:
            _die()

    return die_at


def _dying_halfway(save: Any, number: int) -> Any:
    """The tensors are written, the last file is cut in half, and nothing follows."""
    calls = iter(range(1, sys.maxsize))

    def die_in(state: dict[str, Any], **options: Any) -> Any:
        done = save(state, **options)
        if next(calls) == number:
            file = max(Path(options["checkpoint_id"]).iterdir(), key=lambda path: path.stat().st_size)
            os.truncate(file, file.stat().st_size // 2)
            _die()
        return done

    return die_in


def _telling(step: Any, path: Path) -> Any:
    def tell(report: StepReport) -> None:
        step(report)
        path.touch()

    return tell


def main() -> None:
    torch.set_num_threads(1)
    out, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
    rank = int(os.environ.get("RANK", 0))
    recipe = recipe_of(out, settings)
    if rank == 0:
        with locked(out):
            toy_run(recipe, kill=sys.argv[3] if len(sys.argv) > 3 else "")
    else:
        toy_run(recipe)


if __name__ == "__main__":
    main()
