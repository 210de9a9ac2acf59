"""Training throughput on a CPU: our packs beside a padded transformers loop, on the same ragged samples.

    python bench/train_cpu.py [--model mini] [--rounds 2] [--dtype float32] [--dtype bfloat16] [--json FILE]

Both sides start from the same weights, take the same batches of samples in turns, and do what a step of training
does: forward, loss on the answers, backward, AdamW (fused, all parameters). Features are made beforehand: theirs
padded to 30 s, as their encoder demands, and their text padded on the right to the longest of the batch. Before
anything is timed both losses of the first batch must agree.

The sound is synthetic (speed does not depend on what is said) and needs nothing but this repository; durations and
answers are drawn as those of spoken prompts: 0.5 to 12 s, half of them below 2.5 s, 2.5 words per second.
"""

import argparse
import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from transformers import Qwen2AudioForConditionalGeneration, WhisperFeatureExtractor

from auricle import units
from auricle.audio import Waveform, log_mel
from auricle.bench.clips import of_length, synthetic_clips
from auricle.bench.machine import describe_machine
from auricle.bench.timing import Spread, alternate, seconds
from auricle.conversation import Audio, Message
from auricle.data import Label, Pack, make_pack
from auricle.prepare import Prepared, render
from auricle.text import Tokenizer
from auricle.train.flops import Moving, pack_flops
from auricle.train.trainee import Trainee
from auricle.weights import export_checkpoint, locate, read_checkpoint

WORDS = "the door is open please leave your message after tone and call again tomorrow we have received two new"
WORDS_PER_S = 2.5
SHORTEST_S, MEDIAN_S, LONGEST_S, SPREAD = 0.5, 2.5, 12.0, 0.8  # a lognormal, clipped
LABEL = Label("bench", "synthetic", "asr")
LOSS_TOLERANCE = {"float32": 1e-3, "bfloat16": 2e-2}


@dataclass(frozen=True)
class Batch:
    """The same samples for both sides; theirs are the arguments of transformers' forward."""

    ours: Pack
    theirs: dict[str, torch.Tensor]

    @property
    def num_samples(self) -> int:
        """Conversations."""
        return len(self.ours.labels)


def make_batches(num_batches: int, size: int, tokenizer: Tokenizer, num_mel_bins: int, *, seed: int = 0) -> list[Batch]:
    """Batches of conversations in the order in which they were drawn: nothing is sorted by length."""
    rng = np.random.default_rng(seed)
    voices = synthetic_clips(8)
    return [_make_batch(size, voices, tokenizer, num_mel_bins, rng) for _ in range(num_batches)]


def _make_batch(
    size: int, voices: list[np.ndarray], tokenizer: Tokenizer, num_mel_bins: int, rng: np.random.Generator
) -> Batch:
    durations_s = np.clip(rng.lognormal(math.log(MEDIAN_S), SPREAD, size), SHORTEST_S, LONGEST_S)
    clips = [of_length(voices[rng.integers(8) :], duration_s) for duration_s in durations_s]
    prepared = []
    for clip, duration_s in zip(clips, durations_s, strict=True):
        mel = log_mel(Waveform(clip), num_mel_bins=num_mel_bins)
        answer = " ".join(rng.choice(WORDS.split(), max(1, round(WORDS_PER_S * duration_s))))
        messages = [Message("user", (Audio(), "What does the person say?")), Message("assistant", (answer,))]
        num_tokens = units.tokens_from_frames(mel.num_frames)
        prepared.append(Prepared(render(messages, [num_tokens], tokenizer, open_turn=False), (mel,)))
    extractor = WhisperFeatureExtractor(feature_size=num_mel_bins)
    heard = extractor(clips, sampling_rate=units.SAMPLE_RATE, return_attention_mask=True, return_tensors="pt")
    theirs = pad(prepared) | {
        "input_features": heard["input_features"],
        "feature_attention_mask": heard["attention_mask"],
    }
    return Batch(make_pack([(one, LABEL) for one in prepared]), theirs)


def pad(prepared: list[Prepared]) -> dict[str, torch.Tensor]:
    """ids, mask and labels, padded on the right; -100 where nothing is learnt."""
    longest = max(len(one.prompt.ids) for one in prepared)
    shape = (len(prepared), longest)
    ids, mask, labels = (
        torch.zeros(shape, dtype=torch.int64),
        torch.zeros(shape, dtype=torch.int64),
        torch.full(shape, -100),
    )
    for row, one in enumerate(prepared):
        here, length = torch.tensor(one.prompt.ids), len(one.prompt.ids)
        ids[row, :length], mask[row, :length] = here, 1
        labels[row, :length] = here.where(torch.tensor(one.prompt.loss), -100)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def padded_pack(batch: Batch) -> Pack:
    """What their side computes, as a pack whose operations can be counted: every window 30 s, every row the longest,
    the head on every place."""
    num_rows, longest = batch.theirs["input_ids"].shape
    inputs = type(batch.ours.inputs)(
        ids=batch.theirs["input_ids"].flatten(),
        lengths=(longest,) * num_rows,
        features=batch.ours.inputs.features,
        num_frames=(units.WINDOW_FRAMES,) * num_rows,
        heard=batch.ours.inputs.heard,
    )
    places = torch.arange(num_rows * longest)
    return Pack(inputs, places, places, places, batch.ours.labels)


class Sides:
    """Both models with their optimizers, and a step of each."""

    def __init__(self, directory: Path, dtype: str) -> None:
        self.checkpoint = read_checkpoint(directory, dtype=torch.float32, device=torch.device("cpu"))
        self.trainee = Trainee(self.checkpoint.model.requires_grad_(True)).train()
        model = Qwen2AudioForConditionalGeneration.from_pretrained(directory, dtype=torch.float32)
        if self.checkpoint.model.config.text.tied_head:  # transformers leaves the head of this model a copy
            model.lm_head.weight = model.model.language_model.embed_tokens.weight
        model.model.audio_tower.embed_positions.requires_grad_(True)  # as all of ours
        self.reference = model.train()
        self.dtype = dtype
        self._optimizers = {
            side: torch.optim.AdamW(module.parameters(), lr=1e-6, fused=True)
            for side, module in (("ours", self.trainee), ("theirs", self.reference))
        }

    def loss(self, side: str, batch: Batch) -> torch.Tensor:
        """The mean over all tokens of the answers."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.dtype == "bfloat16"):
            return self.trainee(batch.ours).mean() if side == "ours" else self.reference(**batch.theirs).loss

    def step(self, side: str, batch: Batch) -> None:
        """Forward, backward, AdamW."""
        self.loss(side, batch).backward()
        self._optimizers[side].step()
        self._optimizers[side].zero_grad(set_to_none=True)

    def check(self, batch: Batch) -> None:
        """Both compute one loss of one batch, or the timings mean nothing."""
        with torch.no_grad():
            ours, theirs = (self.loss(side, batch).item() for side in ("ours", "theirs"))
        if abs(ours - theirs) > LOSS_TOLERANCE[self.dtype] * theirs:
            raise SystemExit(f"the losses differ in {self.dtype}: ours {ours}, theirs {theirs}")


@dataclass(frozen=True)
class Result:
    """Rates per second over all timed steps; the ratio of each pair of steps on one batch.

    flops_ratio: how many times less there is to compute, the most that could be gained at equal FLOP/s.
    """

    dtype: str
    samples: int
    supervised_tokens: int
    audio_s: float
    ours_samples_per_s: float
    theirs_samples_per_s: float
    ours_tokens_per_s: float
    theirs_tokens_per_s: float
    ours_gflops_per_s: float
    theirs_gflops_per_s: float
    speedup: float
    speedup_spread: Spread
    flops_ratio: float


def measure(directory: Path, dtype: str, rounds: int, num_batches: int, size: int, say: Callable[[str], Any]) -> Result:
    """Ours and theirs in turns over every batch, so many times; the very first pair does not count."""
    sides = Sides(directory, dtype)
    config = sides.checkpoint.model.config
    batches = make_batches(num_batches, size, sides.checkpoint.tokenizer, config.audio.num_mel_bins)
    sides.check(batches[0])
    pairs: list[tuple[float, float]] = []
    for number, batch in enumerate(batches):
        ours, theirs = (_timed(sides, side, batch) for side in ("ours", "theirs"))
        pairs += alternate(ours, theirs, rounds=rounds, warm_up=int(number == 0))
        say(f"{dtype}, batch {number + 1} of {num_batches}: {pairs[-1][0]:.2f} s, theirs {pairs[-1][1]:.2f} s")
    ours_s, theirs_s = (sum(side) for side in zip(*pairs, strict=True))
    moving = Moving.of(sides.checkpoint.model)
    real = rounds * sum(pack_flops(config, batch.ours, moving) for batch in batches)
    padded = rounds * sum(pack_flops(config, padded_pack(batch), moving) for batch in batches)
    samples = rounds * sum(batch.num_samples for batch in batches)
    tokens = rounds * sum(len(batch.ours.targets) for batch in batches)
    return Result(
        dtype=dtype,
        samples=samples,
        supervised_tokens=tokens,
        audio_s=rounds * sum(batch.ours.audio_s for batch in batches),
        ours_samples_per_s=samples / ours_s,
        theirs_samples_per_s=samples / theirs_s,
        ours_tokens_per_s=tokens / ours_s,
        theirs_tokens_per_s=tokens / theirs_s,
        ours_gflops_per_s=real / ours_s / 1e9,
        theirs_gflops_per_s=padded / theirs_s / 1e9,
        speedup=theirs_s / ours_s,
        speedup_spread=Spread.of([theirs / ours for ours, theirs in pairs]),
        flops_ratio=padded / real,
    )


def _timed(sides: Sides, side: str, batch: Batch) -> Callable[[], float]:
    return seconds(lambda: sides.step(side, batch))


def main() -> None:
    """Export the model once, measure each precision, print and perhaps write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--dtype", action="append", choices=sorted(LOSS_TOLERANCE), help="default: both")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    machine = describe_machine()
    print(f"{machine.cpu}, {machine.threads} threads, torch {machine.torch}, transformers {machine.transformers}")
    with TemporaryDirectory() as scratch:
        directory = Path(scratch) / "model"
        export_checkpoint(locate(arguments.model), directory, dtype=torch.float32)
        results = [
            measure(directory, dtype, arguments.rounds, arguments.batches, arguments.batch_size, print)
            for dtype in arguments.dtype or ["float32", "bfloat16"]
        ]
    for result in results:
        print(json.dumps(asdict(result), indent=1))
    print(f"load average {machine.load_average:.1f} before, {os.getloadavg()[0]:.1f} after")
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": asdict(machine), "results": [asdict(r) for r in results]}))


if __name__ == "__main__":
    main()
