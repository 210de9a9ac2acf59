"""One fresh process: import a side, load it, perhaps do the work, and say what that took. See `processes`.

python -m auricle.bench.child ours|theirs DIRECTORY [CLIPS.npz BATCH_SIZE ORDER NUM_TOKENS]
"""

import json
import resource
import sys
import time
from pathlib import Path

from auricle.bench.sides import Plan, Side, import_side, transcribe


def main(arguments: list[str]) -> None:
    """Print one JSON object: import_s, load_s, peak_bytes."""
    side_name, directory, *work = arguments
    start = time.perf_counter()
    load = import_side("ours" if side_name == "ours" else "theirs")
    imported = time.perf_counter()
    side = load(directory)
    loaded = time.perf_counter()
    if work:
        _transcribe(side, *work)
    print(json.dumps({"import_s": imported - start, "load_s": loaded - imported, "peak_bytes": peak_bytes()}))


def peak_bytes() -> int:
    """The most memory this process has had resident.

    Linux's ru_maxrss counts what the process was before it became this program, so VmHWM is asked there.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _transcribe(side: Side, clips_file: str, batch_size: str, order: str, num_tokens: str) -> None:
    import numpy as np

    with np.load(clips_file) as clips:
        samples = [clips[name] for name in clips]
    plan = Plan(int(batch_size), "sorted" if order == "sorted" else "given")
    transcribe(side, samples, plan, int(num_tokens))


if __name__ == "__main__":
    main(sys.argv[1:])
