"""64 clients and 500 requests against `auricle serve`, vanishing clients and malformed uploads among them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "serve_load.py"


@pytest.mark.slow
@pytest.mark.timed
@pytest.mark.mini
def test_under_load_every_request_gets_what_it_gets_alone(tmp_path: Path):
    command = [sys.executable, SCRIPT, "--requests", "500", "--clients", "64", "--json", tmp_path / "load.json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=900)
    report = json.loads((tmp_path / "load.json").read_text())
    print(report)
    assert report["wrong"] == []
    assert report["right"] + report["vanished"] + sum(report["broken"].values()) == 500 + report["num_alone"]
    assert report["vanished"] > 25
    assert min(report["broken"].values()) >= 1
    assert len(report["broken"]) == 8
    assert report["ratio"] >= 2.0
    assert report["end_mb"] <= 1.1 * report["warm_mb"]
