"""`auricle bench` from end to end on the tiny checkpoint, and what it says where a library is missing."""

import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from auricle.bench import processes
from auricle.bench.ours import Ours
from auricle.bench.settings import NAMES
from auricle.bench.sides import PROMPT
from auricle.bench.theirs import Theirs
from auricle.weights import export_checkpoint

Run = Callable[..., tuple[int, str, str]]
FIELDS = {"name", "what", "unit", "better", "ours", "theirs", "ratio", "details"}
SPREAD = {"median", "q1", "q3", "min", "max", "values"}


@pytest.fixture(scope="module")
def plain(checkpoint_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bench") / "plain"
    export_checkpoint(checkpoint_dir, directory)
    return directory


def test_all_that_one_process_measures(checkpoint_dir: Path, tmp_path: Path, run_cli: Run) -> None:
    out, chart = tmp_path / "out.json", tmp_path / "out.svg"
    code, printed, _ = run_cli(
        *("bench", "--model", checkpoint_dir, "--rounds", 1, "--num-clips", 4, "--num-tokens", 2),
        *("--batch-sizes", "2,4", "--json", out, "--chart", chart),
        *(f"--only={name}" for name in NAMES if name not in ("start", "memory")),
    )
    assert code == 0
    report = json.loads(out.read_text())
    assert report.keys() == {"format", "machine", "settings", "measurements"}
    assert report["format"] == "auricle-bench-1"
    assert report["machine"].keys() >= {"cpu", "cores", "threads", "torch", "transformers", "load_average"}
    assert report["settings"]["num_clips"] == 4
    names = [measurement["name"] for measurement in report["measurements"]]
    lengths = ("1.5 s", "5 s", "15 s", "30 s")
    assert names == [
        *(f"mel {length}" for length in lengths),
        *(f"encoder {length}" for length in lengths),
        *("first token", "decode batch 1", "decode batch 8", "4 clips"),
    ]
    for measurement in report["measurements"]:
        assert measurement.keys() == FIELDS
        for side in ("ours", "theirs", "ratio"):
            assert measurement[side].keys() == SPREAD
            assert measurement[side]["min"] > 0
        assert measurement["name"] in printed
    clips = report["measurements"][names.index("4 clips")]["details"]
    assert clips["tokens_per_recording"] == 2
    assert clips["recordings_with_equal_ids"] == 4
    assert clips["ours_search_s"].keys() == {"2 given", "2 sorted", "4 given", "4 sorted"}
    root = ET.parse(chart).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert set(names) <= {text.strip() for text in root.itertext()}


@pytest.mark.slow
def test_what_fresh_processes_measure(checkpoint_dir: Path, tmp_path: Path, run_cli: Run) -> None:
    out = tmp_path / "out.json"
    code, _, _ = run_cli(
        *("bench", "--model", checkpoint_dir, "--rounds", 1, "--num-clips", 4, "--num-tokens", 2),
        *("--batch-sizes", 4, "--json", out, "--only", "start", "--only", "memory"),
    )
    assert code == 0
    measured = {measurement["name"]: measurement for measurement in json.loads(out.read_text())["measurements"]}
    assert list(measured) == ["import", "load", "memory"]
    for side in ("ours", "theirs"):
        assert 0.1 < measured["import"][side]["median"] < 600
        assert 50 * 2**20 < measured["memory"][side]["median"] < 2**33
        assert measured["memory"]["details"][f"{side}_plan"].startswith("4 ")


def test_both_sides_write_the_same_tokens(plain: Path, noise: Callable[..., np.ndarray]) -> None:
    """Through their own front ends and prompts; as many as asked for, though an answer would have ended before."""
    clips = [noise(seconds, seed=place) for place, seconds in enumerate((0.4, 1.3, 0.7))]
    ours, theirs = Ours(str(plain)), Theirs(str(plain))
    written = ours.generate(clips, 40)
    assert written == theirs.generate(clips, 40)
    assert [len(ids) for ids in written] == [40] * 3
    assert len({tuple(ids) for ids in written}) == 3, "every recording is answered alike: a deaf model proves nothing"
    assert ours.decode_s(clips, 3) > 0
    assert theirs.decode_s(clips, 3) > 0
    assert PROMPT.endswith("<|en|>")


def test_one_kind_of_measurement_alone(checkpoint_dir: Path, run_cli: Run, recordings: list[Path]) -> None:
    code, printed, _ = run_cli(
        *("bench", "--model", checkpoint_dir, "--rounds", 1, "--only", "mel", "--clips", recordings[0].parent)
    )
    assert code == 0
    assert "mel 30 s" in printed
    assert "encoder" not in printed


@pytest.mark.parametrize(
    ("library", "arguments", "sentence"),
    [
        ("transformers", (), "needs the transformers library"),
        ("matplotlib.figure", ("--chart", "out.svg"), "needs the matplotlib library"),
    ],
)
def test_a_missing_library_is_named(
    library: str,
    arguments: tuple[str, ...],
    sentence: str,
    checkpoint_dir: Path,
    run_cli: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    code, printed, said = run_cli("bench", "--model", checkpoint_dir, "--only", "mel", *arguments)
    assert (code, printed) == (2, "")
    assert sentence in said
    assert "pip install 'auricle[bench]'" in said


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)ours .* failed: .*no tokenizer\.json"):
        processes.run_child("ours", tmp_path)


def test_the_peak_is_of_the_process_itself(plain: Path) -> None:
    """A parent that holds much memory does not show in the child."""
    ballast = np.ones(2**27, np.float64)  # 1 GiB
    assert 50 * 2**20 < processes.run_child("ours", plain).peak_bytes < ballast.nbytes
