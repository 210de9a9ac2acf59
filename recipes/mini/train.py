"""Train mini on ASR: projector and decoder first, the encoder's top layers towards the end.

    python recipes/mini/train.py --data DIR --start DIR --run DIR --minutes 90

The rates follow the minutes used, not the steps, so that a run ends where it should on any machine; a killed run
resumes from its last checkpoint. Text batches replay the text model's own answers.
"""

import argparse
import json
import math
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from attention import grouped_attention
from auricle.audio import load
from auricle.extend import fit_projector
from auricle.model import ModelInput, Qwen2Audio
from auricle.model.layers import causal_mask
from auricle.prepare import Prepared, collate
from auricle.quant import round_to_groups
from auricle.weights import Checkpoint, read_checkpoint, write_model
from clips import Clip
from examples import Examples, text_example
from heldout import HeldOut
from mixture import Mixture
from ship import COPIED


@dataclass(frozen=True, slots=True)
class Settings:
    """What the run is made of; learning rates are peaks."""

    projector_rate: float = 1e-3
    decoder_rate: float = 4e-4
    encoder_rate: float = 3e-5
    encoder_from: float = 0.6  # share of the run after which the encoder's top layers move
    num_top_layers: int = 2
    warmup: float = 0.03
    final_share: float = 0.03  # of the peak, at the end
    tokens_per_batch: int = 1800
    text_share: float = 0.16  # of the batches
    weight_decay: float = 0.01
    quantised_from: float = 0.65  # share of the run after which the decoder hears itself quantised
    quantised_bits: int = 5
    seed: int = 1


class Batches(torch.utils.data.IterableDataset):
    """Endless batches of about equal length: a window of examples is sorted, cut by tokens, and shuffled."""

    WINDOW = 320

    def __init__(self, examples: Examples, replay: list[Prepared], settings: Settings, first: int, pad_id: int) -> None:
        self.examples, self.replay, self.settings, self.first, self.pad_id = examples, replay, settings, first, pad_id

    def __iter__(self) -> Iterator[tuple[int, ModelInput, torch.Tensor]]:
        number = self.first
        while True:
            rng = np.random.default_rng((self.settings.seed, number))
            window = [self.examples[n] for n in range(number, number + self.WINDOW)]
            number += self.WINDOW
            batches = list(cut(sorted(window, key=lambda e: len(e.prompt.ids)), self.settings.tokens_per_batch))
            num_text = round(len(batches) * self.settings.text_share / (1 - self.settings.text_share))
            for _ in range(num_text):
                chosen = rng.choice(len(self.replay), size=16, replace=False)
                batches.append([self.replay[i] for i in chosen])
            for i in rng.permutation(len(batches)):
                yield number, collate(batches[i], pad_id=self.pad_id), labels(batches[i])


def cut(examples: list[Prepared], tokens_per_batch: int) -> Iterator[list[Prepared]]:
    """Runs of a sorted list whose padded size stays within the budget."""
    batch: list[Prepared] = []
    for example in examples:
        if batch and (len(batch) + 1) * len(example.prompt.ids) > tokens_per_batch:
            yield batch
            batch = []
        batch.append(example)
    yield batch


def labels(batch: list[Prepared]) -> torch.Tensor:
    """int64 [batch, tokens], left-padded like the ids: the id where it counts in the loss, -100 elsewhere."""
    longest = max(len(item.prompt.ids) for item in batch)
    rows = [
        [-100] * (longest - len(item.prompt.ids))
        + [i if counts else -100 for i, counts in zip(item.prompt.ids, item.prompt.loss, strict=True)]
        for item in batch
    ]
    return torch.tensor(rows)


def loss_of(model: Qwen2Audio, inputs: ModelInput, targets: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy of the tokens that count; only their positions meet the vocabulary."""
    attend = grouped_attention(causal_mask(inputs.valid, inputs.ids.shape[1]))
    decoder = model.language_model.model
    hidden = decoder(model.embed(inputs), inputs.positions, [attend] * len(decoder.layers))
    counted = targets[:, 1:] != -100
    return functional.cross_entropy(model.logits(hidden[:, :-1][counted]).float(), targets[:, 1:][counted])


def decoder_matrices(model: Qwen2Audio) -> list[torch.nn.Parameter]:
    """What will ship quantised and moves in training."""
    return [parameter for parameter in model.language_model.model.layers.parameters() if parameter.ndim == 2]


@contextmanager
def quantised(matrices: list[torch.nn.Parameter], bits: int) -> Iterator[None]:
    """Forward and backward see the rounded weights; the gradient is taken for the exact ones (straight through)."""
    exact = [parameter.data for parameter in matrices]
    for parameter in matrices:
        parameter.data = round_to_groups(parameter.data, bits=bits)
    yield
    for parameter, weight in zip(matrices, exact, strict=True):
        parameter.data = weight


def parameter_groups(model: Qwen2Audio, settings: Settings) -> list[dict]:
    """Projector, decoder layers and the encoder's top, each with its peak rate; embeddings stay as they are."""
    layers, tower = model.language_model.model, model.audio_tower
    decoder = [*layers.layers.parameters(), *layers.norm.parameters()]
    encoder = [*tower.layers[-settings.num_top_layers :].parameters(), *tower.layer_norm.parameters()]
    return [
        {"name": "projector", "params": [*model.multi_modal_projector.parameters()], "peak": settings.projector_rate},
        {"name": "decoder", "params": decoder, "peak": settings.decoder_rate},
        {"name": "encoder", "params": encoder, "peak": settings.encoder_rate},
    ]


def rate_share(progress: float, settings: Settings) -> float:
    """Linear warm-up, then a cosine from 1 to `final_share`."""
    if progress < settings.warmup:
        return progress / settings.warmup
    turn = (progress - settings.warmup) / (1 - settings.warmup)
    return settings.final_share + (1 - settings.final_share) * (1 + math.cos(math.pi * min(1.0, turn))) / 2


def train(model: Qwen2Audio, batches: Batches, run: Path, minutes: float, settings: Settings, check: HeldOut) -> None:
    """One loop until the minutes are used; a checkpoint every ten minutes, a report every fifteen."""
    groups = parameter_groups(model, settings)
    optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), weight_decay=settings.weight_decay, fused=True)
    used_s, step, seen = restore(model, optimizer, run)
    batches.first = seen
    loader = iter(torch.utils.data.DataLoader(batches, batch_size=None, num_workers=1, prefetch_factor=16))
    clock, last_saved, last_reported, log = time.monotonic(), used_s, used_s, (run / "log.jsonl").open("a")
    while used_s < minutes * 60:
        progress = used_s / (minutes * 60)
        encoder_moves = progress >= settings.encoder_from
        for group in optimizer.param_groups:
            moves = encoder_moves or group["name"] != "encoder"
            group["lr"] = group["peak"] * rate_share(progress, settings) * moves
            for parameter in group["params"]:
                parameter.requires_grad_(moves)
        seen, inputs, targets = next(loader)
        matrices = decoder_matrices(model) if progress >= settings.quantised_from else []
        with quantised(matrices, settings.quantised_bits), torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(model, inputs, targets)
            loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([p for g in groups for p in g["params"] if p.grad is not None], 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        now = time.monotonic()
        used_s, clock = used_s + now - clock, now
        line = {"step": step, "used_s": round(used_s, 1), "loss": round(loss.item(), 4), "norm": round(norm.item(), 3)}
        line |= {"rows": len(inputs.ids), "tokens": inputs.ids.numel(), "audio": len(inputs.features), "seen": seen}
        print(json.dumps(line), file=log, flush=True)
        if used_s - last_reported > 15 * 60 or step == 40:
            print(json.dumps({"step": step, "used_s": round(used_s)} | check(loss_of, labels)), file=log, flush=True)
            last_reported, clock = used_s, time.monotonic()  # the report does not use up the run's minutes
        if used_s - last_saved > 10 * 60:
            save(model, optimizer, run, used_s, step, seen)
            last_saved = used_s
    save(model, optimizer, run, used_s, step, seen)
    print(json.dumps({"step": step, "used_s": round(used_s)} | check(loss_of, labels)), file=log, flush=True)


def start_projector(checkpoint: Checkpoint, root: Path, clips: list[Clip]) -> float:
    """Set the projector in closed form; returns the share of the embeddings' variance explained."""
    model = checkpoint.model
    spoken = ((load(root / clip.audio), clip.text) for clip in clips)
    table = model.language_model.model.embed_tokens.weight
    fit = fit_projector(model.audio_tower, table, checkpoint.tokenizer, spoken)
    model.multi_modal_projector.linear.load_state_dict({"weight": fit.weight, "bias": fit.bias})
    return fit.explained


def save(model: Qwen2Audio, optimizer: torch.optim.Optimizer, run: Path, used_s: float, step: int, seen: int) -> None:
    """All that a resumed run needs, in one file that is whole or absent."""
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "used_s": used_s,
        "step": step,
        "seen": seen,
    }
    torch.save(state, run / "state.tmp")
    (run / "state.tmp").rename(run / "state.pt")


def restore(model: Qwen2Audio, optimizer: torch.optim.Optimizer, run: Path) -> tuple[float, int, int]:
    """Seconds used, steps done and examples seen so far; zeros for a new run."""
    if not (run / "state.pt").exists():
        return 0.0, 0, 0
    state = torch.load(run / "state.pt", weights_only=True, mmap=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["used_s"], state["step"], state["seen"]


def main() -> None:
    """Read the data, start the projector where the run is new, train, write the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "start", "run"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=90)
    arguments, settings = parser.parse_args(), Settings()
    arguments.run.mkdir(parents=True, exist_ok=True)
    checkpoint = read_checkpoint(arguments.start, dtype=torch.float32, device=torch.device("cpu"))
    model, tokenizer = checkpoint.model, checkpoint.tokenizer
    mixture = Mixture.read(arguments.data, seed=settings.seed)
    if not (arguments.run / "state.pt").exists():
        print(
            "projector start explains", start_projector(checkpoint, arguments.data, mixture.for_start(500)), flush=True
        )
    replay = [
        text_example(**json.loads(line), tokenizer=tokenizer) for line in (arguments.data / "replay.jsonl").open()
    ]
    noises = [load(path).samples for path in sorted((arguments.data / "noise").glob("*.flac"))]
    examples = Examples(arguments.data, mixture.train, tokenizer, noises, seed=settings.seed)
    batches = Batches(examples, replay, settings, 0, checkpoint.pad_id)
    check = HeldOut(arguments.data, mixture.dev, checkpoint)
    train(model, batches, arguments.run, arguments.minutes, settings, check)
    write_model(model, arguments.run / "model")
    for name in COPIED:
        shutil.copyfile(arguments.start / name, arguments.run / "model" / name)


if __name__ == "__main__":
    main()
