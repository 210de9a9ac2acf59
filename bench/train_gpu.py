"""Tokens a second and MFU of a 7B-shaped training step on one GPU: adapters, and the projector alone; packed, padded.

    python bench/train_gpu.py --out figures.json                      # the published 7B's shape, bfloat16
    python bench/train_gpu.py --shape small --device cpu --rounds 1   # the same program, to see that it runs

Weights are random: speed does not depend on what they say. Both sides learn from the same samples in the same order:
`packed` at their true lengths, as the trainer does; `padded` in rows as long as the longest, every recording filled up
to 30 s, as the usual frameworks do. MFU counts the operations of the true lengths for both, over the GPU's peak.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from auricle import units
from auricle.audio import Mel
from auricle.data import Label, Pack, make_pack
from auricle.extend import LoraSettings, add_lora, recompute
from auricle.model import AudioEncoderConfig, DecoderConfig, ModelInput, Qwen2Audio, Qwen2AudioConfig, outline
from auricle.prepare import Prepared, Prompt, collate
from auricle.train.flops import Moving, pack_flops, peak_flops
from auricle.train.trainee import Trainee

SHAPES = {  # the released config.json, and one that a CPU can turn
    "7b": Qwen2AudioConfig(
        AudioEncoderConfig(num_mel_bins=128, width=1280, num_layers=32, num_heads=20, mlp_width=5120),
        DecoderConfig(156032, 4096, 32, 32, 32, 128, 11008, 1e-5, 10000.0, 8192, tied_head=False),
        151646,
    ),
    "small": Qwen2AudioConfig(
        AudioEncoderConfig(num_mel_bins=80, width=64, num_layers=2, num_heads=2, mlp_width=128),
        DecoderConfig(1024, 64, 2, 4, 2, 16, 128, 1e-5, 10000.0, 8192, tied_head=False),
        1000,
    ),
}
ANSWER_TOKENS = (8, 80)  # words of a transcript
QUESTION_TOKENS = 24


def random_model(config: Qwen2AudioConfig, device: torch.device) -> Qwen2Audio:
    """On the device, drawn at random in bfloat16."""
    model = outline(config).to_empty(device=device).to(torch.bfloat16)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    model.language_model.tie()
    return model.requires_grad_(False)


def samples(config: Qwen2AudioConfig, num: int, rng: np.random.Generator) -> list[Prepared]:
    """Recordings of 1 to 30 s, most of them short, a question and an answer each."""
    made = []
    for _ in range(num):
        seconds = float(np.clip(rng.lognormal(1.6, 0.7), 1, 30))
        num_frames = round(seconds * units.FRAMES_PER_S)
        features = torch.from_numpy(rng.normal(size=(config.audio.num_mel_bins, units.kept_frames(num_frames))))
        num_audio, num_answer = units.tokens_from_frames(num_frames), int(rng.integers(*ANSWER_TOKENS))
        words = rng.integers(1, 900, size=QUESTION_TOKENS + num_answer).tolist()
        ids = (*words[:4], *[config.audio_token_id] * num_audio, *words[4:])
        loss = tuple(place >= len(ids) - num_answer for place in range(len(ids)))
        prompt = Prompt(ids, loss, ((4, 4 + num_audio),))
        made.append(Prepared(prompt, (Mel(features.float(), num_frames),)))
    return made


def packed_side(model: Qwen2Audio, made: list[Prepared], device: torch.device, tokens: int) -> list[Callable[[], None]]:
    """One forward and backward a pack of at most so many tokens."""
    trainee, steps = Trainee(model), []
    for pack in packs(made, tokens):
        steps.append(partial(_packed_step, trainee, pack.to(device)))
    return steps


def padded_side(model: Qwen2Audio, made: list[Prepared], device: torch.device, tokens: int) -> list[Callable[[], None]]:
    """One forward and backward a batch of as many rows as fit the tokens, padding included."""
    longest = max(len(item.prompt.ids) for item in made)
    rows, steps = max(1, tokens // longest), []
    for start in range(0, len(made), rows):
        batch = made[start : start + rows]
        inputs = collate([_filled(item) for item in batch], pad_id=0).to(device)
        width = inputs.ids.shape[1]
        marks = [[False] * (width - len(item.prompt.loss)) + list(item.prompt.loss) for item in batch]
        steps.append(partial(_padded_step, model, inputs, torch.tensor(marks, device=device)))
    return steps


def _packed_step(trainee: Trainee, pack: Pack) -> None:
    trainee(pack).mean().backward()


def _padded_step(model: Qwen2Audio, inputs: ModelInput, marks_BT: torch.Tensor) -> None:
    logits = model(inputs)[:, :-1]
    functional.cross_entropy(logits[marks_BT[:, 1:]].float(), inputs.ids[:, 1:][marks_BT[:, 1:]]).backward()


def _filled(item: Prepared) -> Prepared:
    """The mel filled up to 30 s; its true length stays known to the attention."""
    [mel] = item.mels
    missing = units.WINDOW_FRAMES - mel.features.shape[1]
    return Prepared(item.prompt, (Mel(functional.pad(mel.features, (0, missing)), mel.num_frames),))


def packs(made: list[Prepared], tokens: int) -> list[Pack]:
    """Samples in their order, each pack as full as they allow."""
    found: list[list[Prepared]] = [[]]
    for item in made:
        if found[-1] and sum(len(one.prompt.ids) for one in found[-1]) + len(item.prompt.ids) > tokens:
            found.append([])
        found[-1].append(item)
    return [make_pack([(item, Label("", "", "bench")) for item in part]) for part in found]


def measure(steps: list[Callable[[], None]], model: Qwen2Audio, device: torch.device, rounds: int) -> list[float]:
    """Seconds of every round over all steps, after one that warms up."""
    moving, times = [p for p in model.parameters() if p.requires_grad], []
    optimizer = torch.optim.AdamW(moving, lr=1e-5, fused=device.type == "cuda")
    for number in range(rounds + 1):
        _wait(device)
        start = time.perf_counter()
        for step in steps:
            step()
            optimizer.step()
            optimizer.zero_grad()
        _wait(device)
        if number:
            times.append(time.perf_counter() - start)
    return times


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def case(name: str, config: Qwen2AudioConfig, arguments: argparse.Namespace) -> dict[str, object]:
    """One way of training, both sides."""
    device = torch.device(arguments.device)
    model = random_model(config, device)
    if name == "lora":
        add_lora(model, LoraSettings(rank=16))
    else:
        model.multi_modal_projector.requires_grad_(True)
    recompute(model, arguments.checkpointing)
    made = samples(config, arguments.samples, np.random.default_rng(0))
    num_tokens = sum(len(item.prompt.ids) for item in made)
    flops = sum(pack_flops(config, pack, Moving.of(model)) for pack in packs(made, arguments.tokens))
    peak = peak_flops(device, torch.bfloat16)
    found: dict[str, object] = {"tokens": num_tokens, "tflops": flops / 1e12}
    for side, make in (("packed", packed_side), ("padded", padded_side)):
        seconds = sorted(measure(make(model, made, device, arguments.tokens), model, device, arguments.rounds))
        median = seconds[len(seconds) // 2]
        figures = {"seconds": seconds, "tokens_per_s": num_tokens / median, "mfu": peak and flops / median / peak}
        if device.type == "cuda":
            figures["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
            torch.cuda.reset_peak_memory_stats()
        found[side] = figures
        print(name, side, {key: value for key, value in figures.items() if key != "seconds"}, flush=True)
    return found


def main() -> None:
    """Both ways, figures to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="7b")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tokens", type=int, default=4096, help="of a pack, and of a padded batch")
    parser.add_argument("--samples", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--checkpointing", choices=("none", "full", "selective"), default="none")
    parser.add_argument("--only", choices=("lora", "projector"))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    names = [arguments.only] if arguments.only else ["projector", "lora"]
    config = SHAPES[arguments.shape]
    report = {"torch": torch.__version__, "device": arguments.device, "shape": arguments.shape}
    if arguments.device == "cuda":
        report["device"] = torch.cuda.get_device_name()
    report |= {name: case(name, config, arguments) for name in names}
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
