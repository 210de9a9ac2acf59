"""What packing is for: on `mini` and a CPU, training keeps its distance from a padded transformers loop."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "train_cpu.py"


@pytest.mark.slow
@pytest.mark.timed
@pytest.mark.mini
def test_packed_training_is_twice_as_fast(tmp_path: Path) -> None:
    """One batch in turns with the other side; the script refuses to measure where the losses differ."""
    report = tmp_path / "report.json"
    settings = ["--rounds", "1", "--batches", "1", "--batch-size", "4", "--dtype", "float32", "--json", report]
    subprocess.run([sys.executable, SCRIPT, *settings], check=True, capture_output=True)
    (result,) = json.loads(report.read_text())["results"]
    assert result["speedup"] >= 2, result
    assert result["samples"] == 4
