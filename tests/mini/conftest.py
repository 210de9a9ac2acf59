"""The held-out English recordings, fetched once for every slow test that hears them; where vLLM lies."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "mini"
VLLM_BIN = Path(os.environ.get("AURICLE_VLLM_BIN", ROOT / ".venv-vllm" / "bin"))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two English test sets from Debian's packages, made by the recipe's own readers."""
    if not shutil.which("apt-get"):
        pytest.skip("the recordings come from Debian packages and this machine has no apt-get")
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "speech"  # one for all processes
    with FileLock(f"{root}.lock"):
        if not (root / "complete").exists():
            subprocess.run(["apt-get", "update", "-qq"], check=True)
            command = [sys.executable, RECIPE / "human.py", "--data", root / "data", "--packages", root / "packages"]
            subprocess.run([*command, "--only", "asterisk", "--only", "librivox"], check=True)
            (root / "complete").touch()
    return root / "data"


@pytest.fixture(scope="session")
def vllm_bin() -> Path:
    """The programs of the environment that `make vllm` makes."""
    if not (VLLM_BIN / "python").exists():
        pytest.fail(f"no vLLM environment at {VLLM_BIN.parent}: run `make vllm`")
    return VLLM_BIN
