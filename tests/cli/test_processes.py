"""The command as the shell starts it: quick where it only explains, and with the exit codes a script relies on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def process(*command: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        input=stdin,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )


HEAVY = """
import sys
sys.argv = ["auricle", *sys.argv[1:]]
from auricle.cli.main import main
try:
    main()
except SystemExit as exit_:
    heavy = {"torch", "numpy", "av", "transformers", "tokenizers"}
    print("HEAVY", *sorted(heavy & sys.modules.keys()), file=sys.stderr)
    sys.exit(exit_.code)
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["transcribe", "--help"], 0),
        (["chat", "--help"], 0),
        (["transcribe", "missing.wav"], 2),
    ],
)
def test_explaining_loads_nothing_heavy(arguments: list[str], code: int):
    done = process("-c", HEAVY, *arguments)
    assert done.returncode == code
    assert done.stderr.splitlines()[-1] == "HEAVY"


def test_transcribe(checkpoint_dir: Path, recordings: list[Path]):
    """The one test of the installed command from end to end; torch is loaded here, so the check above can fail."""
    done = process(
        *("-c", HEAVY, "transcribe", recordings[0], "--json"),
        *("--model", checkpoint_dir, "--device", "cpu", "--max-new-tokens", 3),
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["path"] == str(recordings[0])
    assert done.stderr == "HEAVY av numpy tokenizers torch\n"


def test_the_module_is_the_command():
    done = process("-m", "auricle.cli.main", "transcribe", "missing.wav")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "auricle: no such file: missing.wav; check the path\n"
