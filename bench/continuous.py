"""Many requests at once against one at a time, through the same driver in the same process.

    python bench/continuous.py ~/auricle-work/data/asterisk-en.jsonl --model mini --num 64

Both sides take turns, so that whatever else the machine does falls on both, and beside the wall's seconds stand those
that this process had a core, which a busy machine changes less; the caches of recordings and prefixes are
off, so that the second round hears as much as the first. Every text must be the one that comes alone.

The floor, in float32: a decode step reads every weight of the decoder and its head once (4 bytes each; 0.54 GB for
`mini`) whatever the number of rows, and does 2 operations a weight and row; so a step of B rows costs
max(bytes / bandwidth, 2 B weights / speed), and B up to speed * 4 / (2 * bandwidth) rows (10 at 150 GFLOP/s and
30 GB/s) are free. What is not shared is the prompt: 2 operations for each weight of the decoder and token, and for each
weight of the encoder and state (50 a second of sound). With P of prompts, D of decoding alone and a step that is
shared by all, the ratio is at most (P + D) / (P + D / B).
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from auricle.audio import Waveform, load
from auricle.conversation import Audio, RawPrompt, Sampling
from auricle.engines import NativeEngine, Request, open_engine
from auricle.engines.driver import Driver
from auricle.engines.native_stepper import NativeStepper

PROMPT = "Detect the language and recognize the speech: <|en|>"


def read_recordings(manifest: Path, num: int) -> list[Waveform]:
    """The first held-out ones of a manifest."""
    records = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    held_out = [record for record in records if record.get("split") != "train"] or records
    return [load(manifest.parent / record["audio"]) for record in held_out[:num]]


def ask(driver: Driver, requests: list[Request], sampling: Sampling, *, at_once: int) -> tuple[list[str], float, float]:
    """Texts, seconds, and seconds of all cores; at most `at_once` requests are on their way."""
    started, core_started, texts, tickets = time.perf_counter(), time.process_time(), [], []
    for request in requests:
        tickets.append(driver.submit(request, sampling))
        if len(tickets) == at_once:
            texts += [ticket.answer().text for ticket in tickets]
            tickets = []
    texts += [ticket.answer().text for ticket in tickets]
    return texts, time.perf_counter() - started, time.process_time() - core_started


def main() -> None:
    """Print seconds of both sides and their ratio, round by round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--num", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    engine = open_engine(given.model, dtype="float32", device="cpu", batch_size=given.batch_size)
    if not isinstance(engine, NativeEngine):
        raise SystemExit("only the native engine is measured here")
    driver = Driver(NativeStepper(engine, recordings_bytes=0, prefixes_bytes=0))
    sounds = read_recordings(given.manifest, given.num)
    requests = [Request(RawPrompt((Audio(), PROMPT)), (sound,)) for sound in sounds]
    sampling = Sampling(max_new_tokens=128)
    print(
        f"{len(sounds)} recordings, {sum(sound.duration_s for sound in sounds):.0f} s, {given.threads} threads",
        flush=True,
    )
    ask(driver, requests[:2], sampling, at_once=2)
    ratios = []
    for _ in range(given.rounds):
        alone, alone_s, alone_core_s = ask(driver, requests, sampling, at_once=1)
        together, together_s, together_core_s = ask(driver, requests, sampling, at_once=len(requests))
        ratios.append(alone_s / together_s)
        differing = sum(a != b for a, b in zip(alone, together, strict=True))
        print(
            f"{alone_s:.1f} s alone, {together_s:.1f} s together: {ratios[-1]:.2f} times "
            f"(cores: {alone_core_s:.1f} s, {together_core_s:.1f} s: {alone_core_s / together_core_s:.2f} times); "
            f"{differing} texts differ",
            flush=True,
        )
    print(f"median {statistics.median(ratios):.2f} times")
    driver.close()


if __name__ == "__main__":
    main()
