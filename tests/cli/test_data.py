"""`auricle data` from the command line: what it prints, and its exit code."""

import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auricle.data.records import Recording
from auricle.data.validate import Heard

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def manifest(recordings: list[Path], tmp_path: Path) -> Path:
    """Three good lines."""
    return write(tmp_path / "good.jsonl", *[{"audio": str(path), "text": "A tone."} for path in recordings])


def write(path: Path, *lines: dict[str, Any] | str) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_sound_data_are_summed_up(run_cli: Run, manifest: Path):
    assert run_cli("data", "validate", manifest) == (0, "3 records, 3 recordings, 7.5 s: 0 problems\n", "")
    code, out, err = run_cli("data", "validate", manifest, manifest, "--json")
    expected = {"records": 6, "recordings": 6, "audio_s": 15.0, "num_problems": 0, "problems": []}
    assert (code, json.loads(out), err) == (0, expected, "")


def test_problems_are_results_and_exit_with_2(run_cli: Run, manifest: Path, tmp_path: Path):
    bad = write(tmp_path / "bad.jsonl", {"audoi": "x.wav"}, "{", {"audio": "gone.wav", "text": "x"})
    code, out, err = run_cli("data", "validate", manifest, bad)
    assert code == 2
    assert [line[: len(f"{bad}:1:")] for line in out.splitlines()[:3]] == [f"{bad}:{number}:" for number in (1, 2, 3)]
    assert out.splitlines()[3:] == ["6 records, 4 recordings, 7.5 s: 3 problems"]
    assert err == "auricle: the data have 3 problems; expected none, mend what is named or leave it out\n"

    code, out, _ = run_cli("data", "validate", bad, "--max-shown", 1)
    assert code == 2
    assert out.splitlines()[1:] == ["... and 2 more", "3 records, 1 recordings, 0.0 s: 3 problems"]

    code, out, _ = run_cli("data", "validate", bad, "--json", "--max-shown", 2)
    report = json.loads(out)
    assert (code, report["num_problems"], len(report["problems"])) == (2, 3, 2)
    assert report["problems"][0]["where"] == f"{bad}:1"
    assert "did you mean `audio`?" in report["problems"][0]["what"]


def test_data_that_are_not_there(run_cli: Run, manifest: Path):
    for command in ("validate", "stats"):
        code, out, err = run_cli("data", command, manifest, "missing.jsonl")
        assert (code, out) == (2, "")
        assert err.startswith("auricle: cannot read the data missing.jsonl: No such file or directory")
        assert len(err.splitlines()) == 1


def test_stats_of_a_shard_and_of_lines(run_cli: Run, manifest: Path, recordings: list[Path]):
    shard = manifest.parent / "set.tar"
    (manifest.parent / "x.txt").write_text("A shard's tone.")
    with tarfile.open(shard, "w") as tar:
        tar.add(recordings[0], "x.wav")
        tar.add(manifest.parent / "x.txt", "x.txt")
    code, out, err = run_cli("data", "stats", manifest, shard, "--task", "captioning", "--json")
    counts = json.loads(out)
    assert (code, err) == (0, "")
    assert (counts["num_records"], counts["groups"]["task"]) == (4, {"captioning": [4, pytest.approx(8.5 / 3600)]})
    code, out, err = run_cli("data", "stats", manifest, shard)
    assert (code, err) == (0, "")
    assert "4 recordings, 0 speakers" in out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if line.startswith("│")]
    assert rows[:2] == [["all", "", "4", "0.002"], ["source", "good", "3", "0.002"]]
    assert run_cli("data", "validate", shard)[0] == 0


def test_what_was_found_before_ctrl_c_is_printed(run_cli: Run, manifest: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(recording: Recording) -> Heard:
        raise KeyboardInterrupt

    monkeypatch.setattr("auricle.data.validate.decoded", interrupted)
    bad = write(manifest.parent / "first.jsonl", "{", {"audio": "x.wav", "text": "x"}, "{")
    code, out, err = run_cli("data", "validate", bad)
    assert code not in (0, 2)
    assert "Traceback" not in err
    first, last = out.splitlines()
    assert first.startswith(f"{bad}:1: ")
    assert last == "1 of 3 records, 0 recordings, 0.0 s: 1 problems"


@pytest.mark.slow
def test_ctrl_c_prints_what_was_found(tmp_path: Path, recordings: list[Path]):
    """A recording that never ends lies far behind the bad line: whoever reads it has reported the bad line."""
    os.mkfifo(tmp_path / "endless.wav")
    lines = [{"audio": str(recordings[0]), "text": "x"}] * 50
    path = write(tmp_path / "long.jsonl", "{oops", *lines, {"audio": "endless.wav", "text": "x"}, *lines)
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # whoever started the tests
    program = f"{heard}; from auricle.cli.main import main; main()"
    command = [sys.executable, "-c", program, "data", "validate", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        with (tmp_path / "endless.wav").open("wb"):  # waits for its reader
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in err
    first, last = out.splitlines()
    assert first.startswith(f"{path}:1: ")
    assert " of 102 records, " in last
    assert last.endswith(": 1 problems")


def test_listening_writes_a_page(run_cli: Run, manifest: Path, tmp_path: Path):
    out = tmp_path / "heard"
    code, printed, _ = run_cli("data", "listen", manifest, "--out", out, "--num", 2, "--set", "snr_db=[7,7]")
    assert (code, printed) == (0, f"{out}/index.html\n")
    index = json.loads((out / "index.json").read_text())
    assert len(index) == 2
    assert {entry["change"]["snr_db"] for entry in index} <= {None, 7.0}
    assert (out / index[1]["after"]).stat().st_size > 1000
    code, printed, err = run_cli("data", "listen", manifest, "--out", out, "--set", "snrdb=3")
    assert (code, printed) == (2, "")
    assert "unknown setting snrdb; did you mean snr_db?" in err


def test_preparing_keeps_what_is_good_enough(run_cli: Run, manifest: Path, tmp_path: Path):
    out = tmp_path / "kept.jsonl"
    command = ["data", "prepare", manifest, "--out", out, "--set", "quality.min_s=2", "--set", "quality.min_snr_db=-99"]
    code, printed, err = run_cli(*command)
    assert (code, err) == (0, "")
    assert printed.startswith("kept 2 of 3 records")
    assert run_cli("data", "validate", out)[:2] == (0, "2 records, 2 recordings, 6.5 s: 0 problems\n")
    code, printed, _ = run_cli(*command, "--json")
    assert (code, json.loads(printed)["num_kept"]) == (0, 2)


def test_rolling_out_makes_preferences_that_are_sound(
    run_cli: Run, manifest: Path, tmp_path: Path, checkpoint_dir: Path
):
    out = tmp_path / "pairs.jsonl"
    settings = ["--num", 4, "--max-new-tokens", 4, "--temperature", 2]
    code, printed, err = run_cli("data", "rollout", manifest, "--out", out, "--model", checkpoint_dir, *settings)
    assert code == 0, err
    assert " of 3 prompts gave a pair" in printed
    assert len(out.with_suffix(".seen.jsonl").read_text().splitlines()) == 3
