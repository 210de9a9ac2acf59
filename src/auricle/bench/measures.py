"""What is measured inside one process that holds both sides: each thing one small function."""

import io
import wave
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from auricle import units
from auricle.audio import load
from auricle.bench.clips import of_length
from auricle.bench.sides import Order, Plan, Side, SideName, require_equal_tokens, transcribe
from auricle.bench.timing import Measurement, Timings, alternate, seconds
from auricle.errors import UserError

ENCODER_S = (1.5, 5.0, 15.0, 30.0)
FIRST_TOKEN_S = 5.0
DECODE_BATCHES = (1, 8)
DECODE_TOKENS = 32
ORDERS: tuple[Order, ...] = ("given", "sorted")
_AUDIO_TOLERANCE = 1e-3  # of the largest value: one model on both sides, or the rest means nothing


@dataclass(frozen=True, slots=True)
class Bench:
    """Both sides loaded, the recordings, and how long to measure.

    say: is told what is being measured.
    """

    ours: Side
    theirs: Side
    clips: list[np.ndarray]
    rounds: int
    num_tokens: int
    batch_sizes: tuple[int, ...]
    say: Callable[[str], None]

    def alternate(self, ours: Callable[[], float], theirs: Callable[[], float]) -> Timings:
        """So many rounds of both, after one to warm up."""
        return Timings.of(alternate(ours, theirs, rounds=self.rounds))


def measure_mel(bench: Bench) -> list[Measurement]:
    """Samples to log-mel features, at four lengths."""
    return [_mel(bench, duration_s) for duration_s in ENCODER_S]


def measure_encoder(bench: Bench) -> list[Measurement]:
    """Log-mel features to audio tokens, the mel itself apart, at four lengths.

    Raises:
        UserError: the two sides' audio tokens differ: they do not run one model.
    """
    return [_encoder(bench, duration_s) for duration_s in ENCODER_S]


def measure_first_token(bench: Bench) -> list[Measurement]:
    """A wav file's bytes to the first token id; both sides read it with our decoder."""
    bench.say("first token")
    file = _wav(of_length(bench.clips, FIRST_TOKEN_S))

    def first(side: Side) -> Callable[[], float]:
        return seconds(lambda: side.generate([load(file).samples], 1))

    what = f"a wav file of {FIRST_TOKEN_S:g} s in memory to the first token id"
    return [Measurement("first token", what, "s", "less", bench.alternate(first(bench.ours), first(bench.theirs)))]


def measure_decode(bench: Bench) -> list[Measurement]:
    """Tokens per second after the first one, alone and in a batch."""
    return [_decode(bench, batch) for batch in DECODE_BATCHES]


def best_plans(bench: Bench) -> dict[SideName, tuple[Plan, list[list[int]], dict[str, float]]]:
    """For each side its fastest plan, the ids, and the seconds of every plan it tried (once each).

    Raises:
        ValueError: one side wrote more tokens than the other.
    """
    plans = [Plan(size, order) for size in bench.batch_sizes for order in ORDERS]
    tried: dict[SideName, dict[Plan, float]] = {"ours": {}, "theirs": {}}
    ids: dict[SideName, list[list[int]]] = {}
    sides: tuple[tuple[SideName, Side], ...] = (("ours", bench.ours), ("theirs", bench.theirs))
    for plan in plans:
        for name, side in sides:
            bench.say(f"search: {name}, {plan.batch_size} at once, {plan.order} order")

            def work(name: SideName = name, side: Side = side, plan: Plan = plan) -> None:
                ids[name] = transcribe(side, bench.clips, plan, bench.num_tokens)

            tried[name][plan] = seconds(work)()
    require_equal_tokens(ids["ours"], ids["theirs"])
    return {
        name: (
            min(times, key=lambda plan: times[plan]),
            ids[name],
            {f"{plan.batch_size} {plan.order}": time_s for plan, time_s in times.items()},
        )
        for name, times in tried.items()
    }


def measure_clips(
    bench: Bench, best: dict[SideName, tuple[Plan, list[list[int]], dict[str, float]]]
) -> list[Measurement]:
    """All recordings to text, each side by its own best plan."""
    bench.say(f"{len(bench.clips)} recordings")

    def all_by(side: Side, plan: Plan) -> Callable[[], float]:
        return seconds(lambda: transcribe(side, bench.clips, plan, bench.num_tokens))

    (our_plan, our_ids, our_search), (their_plan, their_ids, their_search) = best["ours"], best["theirs"]
    ours, theirs = all_by(bench.ours, our_plan), all_by(bench.theirs, their_plan)
    timings = Timings.of(alternate(ours, theirs, rounds=bench.rounds, warm_up=0))  # the search has warmed up
    details = {
        "ours_plan": f"{our_plan.batch_size} {our_plan.order}",
        "theirs_plan": f"{their_plan.batch_size} {their_plan.order}",
        "ours_search_s": our_search,
        "theirs_search_s": their_search,
        "tokens_per_recording": bench.num_tokens,
        "recordings_with_equal_ids": require_equal_tokens(our_ids, their_ids),
        "sound_s": sum(map(len, bench.clips)) / units.SAMPLE_RATE,
    }
    what = f"{len(bench.clips)} recordings to text, {bench.num_tokens} tokens each, at each side's best batch and order"
    return [Measurement(f"{len(bench.clips)} clips", what, "s", "less", timings, details)]


def _mel(bench: Bench, duration_s: float) -> Measurement:
    bench.say(f"mel {duration_s:g} s")
    samples = of_length(bench.clips, duration_s)
    timings = bench.alternate(seconds(lambda: bench.ours.hear(samples)), seconds(lambda: bench.theirs.hear(samples)))
    return Measurement(f"mel {duration_s:g} s", "samples to log-mel features", "s", "less", timings)


def _encoder(bench: Bench, duration_s: float) -> Measurement:
    bench.say(f"encoder {duration_s:g} s")
    samples = of_length(bench.clips, duration_s)
    ours, theirs = bench.ours.hear(samples), bench.theirs.hear(samples)
    difference = _difference(bench.ours.encode(ours), bench.theirs.encode(theirs))
    timings = bench.alternate(seconds(lambda: bench.ours.encode(ours)), seconds(lambda: bench.theirs.encode(theirs)))
    return Measurement(
        f"encoder {duration_s:g} s",
        "log-mel features to audio tokens",
        "s",
        "less",
        timings,
        {"difference": difference},
    )


def _difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Largest difference over the largest value."""
    difference = float("inf")
    if ours.shape == theirs.shape:
        difference = float((ours - theirs).abs().max() / theirs.abs().max())
    if difference > _AUDIO_TOLERANCE:
        raise UserError(
            f"audio tokens differ by {difference:.2g} of their size, expected at most {_AUDIO_TOLERANCE}: "
            "transformers does not run the same model; check its version"
        )
    return difference


def _decode(bench: Bench, batch: int) -> Measurement:
    bench.say(f"decode, batch {batch}")
    clips = [bench.clips[place % len(bench.clips)] for place in range(batch)]
    num_tokens = batch * (DECODE_TOKENS - 1)

    def rate(side: Side) -> Callable[[], float]:
        return lambda: num_tokens / side.decode_s(clips, DECODE_TOKENS)

    timings = bench.alternate(rate(bench.ours), rate(bench.theirs))
    what = f"tokens per second after the first, {DECODE_TOKENS} tokens each"
    return Measurement(f"decode batch {batch}", what, "tokens/s", "more", timings)


def _wav(samples: np.ndarray) -> bytes:
    """The bytes of a 16-bit wav file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(units.SAMPLE_RATE)
        out.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()
