"""`eval run` through each engine: the same answers from ours, transformers' and vLLM's, in one procedure."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from auricle.evaluate.run_folder import RunFolder

RECORDINGS = Path(__file__).parents[2] / "examples" / "recordings"
pytestmark = [pytest.mark.slow, pytest.mark.mini]
NAMES = ("prompt", "librivox")


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list as the official ones are."""
    question = "Detect the language and recognize the speech: <|en|>"
    lines = [
        {
            "audio": str(RECORDINGS / f"{name}.flac"),
            "source": "librispeech_test_clean",
            "prompt": question,
            "gt": (RECORDINGS / f"{name}.txt").read_text().strip(),
        }
        for name in NAMES
    ]
    path = tmp_path_factory.mktemp("list") / "librispeech_eval.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def answers(python: Path | str, listed: Path, engine: str, out: Path) -> RunFolder:
    command = [python, "-m", "auricle.cli.main", "eval", "run", "--list", listed, "--engine", engine]
    command += ["--model", "mini", "--dtype", "float32", "--out", out]
    environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "2 samples, the published row has 2,611" in done.stderr
    return RunFolder(out)


def test_three_engines_answer_alike(listed: Path, vllm_bin: Path, tmp_path: Path) -> None:
    pythons = {"native": sys.executable, "transformers": sys.executable, "vllm": vllm_bin / "python"}
    runs = {engine: answers(python, listed, engine, tmp_path / engine) for engine, python in pythons.items()}
    texts = {engine: [one.text for one in run.answered()] for engine, run in runs.items()}
    assert texts["native"] == texts["transformers"] == texts["vllm"]
    assert len(set(texts["native"])) == len(NAMES)
    assert all(len(text.split()) > 3 for text in texts["native"])
    remarks = " ".join(runs["vllm"].info.remarks)
    for pitfall in ("Repetition penalty", "16 tokens", "Placeholders", "30 s"):
        assert pitfall in remarks
    assert not set(runs["native"].keys) & set(runs["vllm"].keys)  # an answer belongs to its engine
