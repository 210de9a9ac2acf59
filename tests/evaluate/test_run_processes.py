"""Several processes: what each is asked, that nothing is lost when one dies, that none outlives the run."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from echo import Echo, read_log

from auricle.conversation import Sampling
from auricle.errors import UserError
from auricle.evaluate.lists import write_samples
from auricle.evaluate.machine import cores_each
from auricle.evaluate.opener import Identity
from auricle.evaluate.processes import Done, Ready, ask_in_processes
from auricle.evaluate.sample import Sample


@pytest.fixture
def work(tmp_path: Path) -> list[tuple[str, Sample]]:
    found = []
    for number in range(7):
        audio = tmp_path / f"{number}.wav"
        audio.write_bytes(b"." * (number + 1))
        found.append((f"key {number}", Sample(str(number), "d", "d", "asr", audio, "What?", "")))
    return found


def test_every_process_takes_its_share_and_all_is_told(work: list, tmp_path: Path):
    echo = Echo(tmp_path / "log")
    events = list(ask_in_processes(work, echo, tmp_path / "answers.sqlite", num_processes=2))
    assert events.count(Ready()) == 2
    done = {event.key: event.sample.duration_s for event in events if isinstance(event, Done)}
    assert done == {f"key {number}": (number + 1) / 10 for number in range(7)}
    log = read_log(echo.log)
    assert [line for line in log if line.startswith("0")] == ["0 open", "0 0", "0 2", "0 4", "0 6"]
    assert [line for line in log if line.startswith("1")] == ["1 open", "1 1", "1 3", "1 5"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("no memory left", "^no memory left$"),
        (signal.SIGKILL, "^one of 2 answering processes was ended by SIGKILL; the answers so far are kept: start"),
    ],
)
def test_a_process_that_ends_early_ends_the_run_with_a_sentence(end: object, told: str, work: list, tmp_path: Path):
    echo = replace(Echo(tmp_path / "log"), after=1, end=end)
    events = ask_in_processes(work, echo, tmp_path / "answers.sqlite", num_processes=2)
    with pytest.raises(UserError, match=told):
        list(events)


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from echo import Slow
from auricle.evaluate.identity import FileHashes
from auricle.evaluate.lists import read_samples
from auricle.evaluate.run import run

if __name__ == "__main__":
    folder = Path({folder!r})
    samples = read_samples(folder / "list.jsonl")
    run(samples, Slow(folder / "log"), folder / "out", num_processes=2, hashes=FileHashes(folder / "hashes.sqlite"))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "whole_group", "code"),
    [(signal.SIGTERM, False, 143), (signal.SIGINT, True, 130), (signal.SIGKILL, False, -signal.SIGKILL)],
)
def test_no_process_outlives_the_run(number: signal.Signals, whole_group: bool, code: int, work: list, tmp_path: Path):
    write_samples([sample for _, sample in work], tmp_path / "list.jsonl")
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.format(here=str(Path(__file__).parent), folder=str(tmp_path)))
    log = tmp_path / "log"
    with subprocess.Popen(
        [sys.executable, str(script)], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 60
        while len(read_log(log)) < 4 and time.monotonic() < deadline:  # both are open and have a sample each
            time.sleep(0.05)
        pids = {int(line.split()[2]) for line in read_log(log) if "open" in line}
        assert len(pids) == 2
        assert all(map(is_alive, pids))
        (os.killpg if whole_group else os.kill)(process.pid, number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in said
    deadline = time.monotonic() + 10
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, pids))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_identity_is_all_of_model_engine_and_dtype():
    one = Identity("mini", "abc", "native", "float32", Sampling())
    assert replace(one, model="elsewhere").text == one.text
    others = [replace(one, model_hash="abd"), replace(one, engine="vllm"), replace(one, dtype="bfloat16")]
    assert len({one.text, *(other.text for other in others)}) == 4


def test_processes_share_the_cores_that_this_one_may_use(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 2, 4, 6, 8}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert [cores_each(num) for num in (1, 2, 5, 9)] == [5, 2, 1, 1]
