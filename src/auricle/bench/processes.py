"""What only a fresh process can tell: the time to import and to load, and the peak of its memory."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from auricle.bench.sides import Plan, SideName
from auricle.bench.timing import Measurement, Timings, alternate

_MEMORY_ROUNDS = 2  # a peak hardly varies, and each round does all the work


@dataclass(frozen=True, slots=True)
class Child:
    """What one fresh process said of itself."""

    import_s: float
    load_s: float
    peak_bytes: int


def measure_start(directory: Path, rounds: int, say: Callable[[str], None]) -> list[Measurement]:
    """Importing and loading in fresh interpreters; files warm in the system's cache, mapped weights read later."""
    say("import and load")
    children = alternate(lambda: run_child("ours", directory), lambda: run_child("theirs", directory), rounds=rounds)
    imports = Timings.of([(ours.import_s, theirs.import_s) for ours, theirs in children])
    loads = Timings.of([(ours.load_s, theirs.load_s) for ours, theirs in children])
    return [
        Measurement("import", "importing the side and torch in a fresh process", "s", "less", imports),
        Measurement("load", "from the directory to a model, in a fresh process", "s", "less", loads),
    ]


def measure_memory(
    directory: Path,
    clips: Sequence[np.ndarray],
    plans: dict[SideName, Plan],
    num_tokens: int,
    rounds: int,
    say: Callable[[str], None],
) -> list[Measurement]:
    """The peak of resident memory of loading and transcribing all recordings, each side by its best plan."""
    say("memory")
    with TemporaryDirectory() as scratch:
        file = Path(scratch) / "clips.npz"
        np.savez(file, *clips)

        def peak(side: SideName) -> Callable[[], float]:
            plan = plans[side]
            work = (str(file), str(plan.batch_size), plan.order, str(num_tokens))
            return lambda: float(run_child(side, directory, *work).peak_bytes)

        pairs = alternate(peak("ours"), peak("theirs"), rounds=min(rounds, _MEMORY_ROUNDS), warm_up=0)
    what = f"peak of resident memory: load, then {len(clips)} recordings to text at each side's best batch and order"
    details = {f"{side}_plan": f"{plan.batch_size} {plan.order}" for side, plan in plans.items()}
    return [Measurement("memory", what, "bytes", "less", Timings.of(pairs), details)]


def run_child(side: SideName, directory: Path, *work: str) -> Child:
    """A fresh interpreter for one side; `work` is empty or the recordings' file, batch size, order and tokens.

    Raises:
        RuntimeError: the process failed; the message has the end of what it said.
    """
    command = [sys.executable, "-m", "auricle.bench.child", side, str(directory), *work]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.strip()[-2000:]}")
    return Child(**json.loads(done.stdout.splitlines()[-1]))
