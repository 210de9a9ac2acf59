"""Progress on a real terminal: it comes and goes there, and what is printed goes where it should."""

import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def in_a_terminal() -> Callable[[str], str]:
    """A shell's line with `auricle` in it -> what the terminal gets; the line must end with exit code 0."""

    def run(line: str) -> str:
        environment = os.environ | {"TERM": "xterm", "COLUMNS": "500", "OMP_NUM_THREADS": "1"}
        command = line.replace("auricle", f"{shlex.quote(sys.executable)} -m auricle.cli.main", 1)
        wide = (24, 500)  # rows, columns: nothing is wrapped
        child = pexpect.spawn("sh", ["-c", command], dimensions=wide, env=environment, timeout=60, encoding="utf-8")
        child.expect(pexpect.EOF)
        child.close()
        assert (child.exitstatus, child.signalstatus) == (0, None)
        return child.before

    return run


def test_what_is_printed_follows_stdout_and_not_the_progress(
    in_a_terminal: Callable[[str], str], run_cli: Run, checkpoint_dir: Path, recordings: list[Path], tmp_path: Path
):
    odd = tmp_path / "[b]odd[" / "end].wav"  # rich would read it as markup
    odd.parent.mkdir()
    shutil.copy(recordings[0], odd)
    options = ["--model", str(checkpoint_dir), "--device", "cpu", "--max-new-tokens", "6", "--no-vad"]
    expected = run_cli("transcribe", odd, recordings[1], *options)[1]
    line = shlex.join(["auricle", "transcribe", str(odd), str(recordings[1]), *options])

    seen = in_a_terminal(f"{line} > {shlex.quote(str(tmp_path / 'out.txt'))}")
    assert (tmp_path / "out.txt").read_text() == expected
    assert f"{recordings[1]}: 0:02 heard" in seen
    assert expected.splitlines()[0] not in seen

    seen = in_a_terminal(line)
    for printed in expected.splitlines():
        assert f"\x1b[2K{printed}" in seen  # on a line of its own, the progress wiped away
