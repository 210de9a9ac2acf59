"""Worker processes: what they hand over, what of them reaches the caller, and that none is left behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count, islice
from pathlib import Path

import fake_stage
import numpy as np
import pytest
import torch
from fake_stage import record, source, stream
from threadpoolctl import threadpool_info, threadpool_limits

from auricle import units
from auricle.audio import Mel
from auricle.data import Group, Label, Labelled, Pack
from auricle.data.loader import PackMaker, PackRequest, load_packs
from auricle.data.stream import Stream
from auricle.prepare import Prepared, Prompt

NUM_WINDOWS = 60
_window = torch.arange(4.0 * 1000).reshape(4, 1000)


def requests(one: Labelled) -> Iterator[PackRequest]:
    return (PackRequest(((number, 1000, one),)) for number in count())


def hear_windows(group: Group, rng: np.random.Generator) -> list[tuple[Prepared, Label]]:
    """Two sequences that share many windows, each a view of a few frames of a long recording."""
    mels = []
    for start in rng.permutation(900)[:NUM_WINDOWS]:
        mels.append(Mel(_window[:, start : start + units.kept_frames(12)], 12))
    each = units.tokens_from_frames(12)
    spans = tuple((1 + each * i, 1 + each * (i + 1)) for i in range(NUM_WINDOWS))
    ids = (7, *[9] * each * NUM_WINDOWS, 8)
    prompt = Prompt(ids, (False,) * (len(ids) - 1) + (True,), spans)
    label = Label(group[0].where, group[0].source, group[0].task, "key")
    return [(Prepared(prompt, tuple(mels)), label)] * 2


def load(hear: object, num: int, num_workers: int) -> list[Pack]:
    maker = PackMaker(fake_stage.make, hear, seed=0)
    with closing(load_packs(requests(record("a", 9)), maker, num_workers=num_workers)) as packs:
        return list(islice(packs, num))


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_pack_from_a_worker_is_the_pack_itself_and_holds_no_file_open():
    """Sixty windows in each of twenty packs; shared memory would take a descriptor for each."""
    before = open_files()
    there = load(hear_windows, 20, num_workers=1)
    assert open_files() <= before + 2
    for pack, same in zip(there, load(hear_windows, 20, num_workers=0), strict=True):
        assert pack.labels == same.labels
        assert pack.refused == same.refused == ()
        assert (pack.inputs.heard, pack.inputs.lengths) == (same.inputs.heard, same.inputs.lengths)
        assert pack.inputs.heard == tuple(range(NUM_WINDOWS)) * 2
        for name in ("places", "targets", "sequences"):
            assert torch.equal(getattr(pack, name), getattr(same, name))
        assert torch.equal(pack.inputs.ids, same.inputs.ids)
        for features, others in zip(pack.inputs.features, same.inputs.features, strict=True):
            assert features.dtype == torch.float32
            assert torch.equal(features, others)
            assert features.untyped_storage().nbytes() == 4 * features.numel(), "a view brought nothing else along"
            features.add_(1)  # its own memory, and it may be written


def test_a_worker_uses_one_core_and_leaves_this_process_its_own():
    def hear(group: Group, rng: np.random.Generator) -> list[tuple[Prepared, Label]]:
        np.ones((300, 300)) @ np.ones((300, 300))
        pools = [pool["num_threads"] for pool in threadpool_info()]
        assert pools, "NumPy and torch bring some"
        told = f"{max(pools)} {torch.get_num_threads()}"
        return [(Prepared(Prompt((1, 2), (False, True), ())), Label(told, "", ""))]

    with threadpool_limits(2):
        [pack] = load(hear, 1, num_workers=1)
        assert max(pool["num_threads"] for pool in threadpool_info()) == 2
    assert pack.labels[0].where == "1 1"


def test_a_worker_leaves_interrupts_to_this_process_and_can_be_ended():
    """Also where a run handles both itself: its handlers are inherited."""

    def hear(group: Group, rng: np.random.Generator) -> list[tuple[Prepared, Label]]:
        told = f"{signal.getsignal(signal.SIGINT)!r} {signal.getsignal(signal.SIGTERM)!r}"
        return [(Prepared(Prompt((1, 2), (False, True), ())), Label(told, "", ""))]

    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        [pack] = load(hear, 1, num_workers=1)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert pack.labels[0].where == f"{signal.SIG_IGN!r} {signal.SIG_DFL!r}"


def test_starting_workers_draws_nothing_from_the_runs_own_random_numbers():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load(fake_stage.hear, 2, num_workers=1)
    assert torch.equal(torch.rand(3), expected)


def test_workers_are_only_a_little_ahead():
    taken = []

    def counted() -> Iterator[PackRequest]:
        for request in requests(record("a", 9)):
            taken.append(request)
            yield request

    maker = PackMaker(fake_stage.make, fake_stage.hear, seed=0)
    with closing(load_packs(counted(), maker, num_workers=2)) as packs:
        for done in range(1, 6):
            next(packs)
            time.sleep(0.02)
            assert len(taken) <= done + 4


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_bug_in_a_worker_is_raised_here_with_what_it_says(num_workers: int):
    with pytest.raises(KeyError) as error:
        next(iter(stream([source("a", [100], troubles=["a bug"])], num_workers=num_workers)))
    assert "a window that is not there" in str(error.value)
    assert "fake_stage.py" in str(error.value) or num_workers == 0, "and where"
    assert multiprocessing.active_children() == []


def test_a_worker_that_is_killed_is_an_error_and_not_a_wait():
    def hear(group: Group, rng: np.random.Generator) -> list[tuple[Prepared, Label]]:
        os.kill(os.getpid(), signal.SIGKILL)
        return []

    with pytest.raises(RuntimeError, match=r"exited unexpectedly|killed by signal"):
        load(hear, 1, num_workers=1)


def divide_by_number(data: Stream) -> None:
    with closing(iter(data)) as steps:
        for step in steps:
            assert len(multiprocessing.active_children()) == 2
            1 / step.number


def test_workers_end_with_their_iterator():
    """Closed, let go of, or left by an error."""
    data = stream([source("a", [50] * 5)], num_workers=2)
    steps = iter(data)
    next(steps)
    assert len(multiprocessing.active_children()) == 2
    steps.close()
    assert multiprocessing.active_children() == []

    steps = iter(data)
    next(steps)
    del steps
    assert multiprocessing.active_children() == []

    with pytest.raises(ZeroDivisionError) as error:
        divide_by_number(data)
    assert multiprocessing.active_children() == [], "though the error still holds the loop that failed"
    del error


PROGRAM = """
import multiprocessing, sys, time
sys.path.insert(0, {here!r})
from fake_stage import source, stream

def main():
    for step in stream([source("a", [50] * 5)], num_workers=2):
        if step.number == 2:
            print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        time.sleep(0.01)

if __name__ == "__main__":
    main()
"""


def is_alive(pid: int) -> bool:
    """Zombies that nobody waits for are dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def run_and(kill: signal.Signals, *, group: bool) -> tuple[int, str, list[int]]:
    """A program that loads, struck in the middle -> exit code, what it said, and its workers."""
    program = [sys.executable, "-c", PROGRAM.format(here=str(Path(__file__).parent))]
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        workers = [int(pid) for pid in process.stdout.readline().split()]
        assert len(workers) == 2
        assert all(map(is_alive, workers))
        (os.killpg if group else os.kill)(process.pid, kill)
        _, said = process.communicate(timeout=30)
        return process.returncode, said, workers


def wait_for_end(workers: list[int], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while any(map(is_alive, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(map(is_alive, workers))


def test_ctrl_c_ends_everything_and_only_the_main_process_says_so():
    code, said, workers = run_and(signal.SIGINT, group=True)
    assert code in (-signal.SIGINT, 130)
    assert said.count("Traceback") == said.count("KeyboardInterrupt") == 1
    assert "leaked" not in said
    assert wait_for_end(workers, 2)


@pytest.mark.slow
def test_workers_of_a_killed_process_end_themselves():
    """Nobody is left to end them; each looks every five seconds whether its parent lives."""
    _, said, workers = run_and(signal.SIGKILL, group=False)
    assert said == ""
    assert wait_for_end(workers, 15)
