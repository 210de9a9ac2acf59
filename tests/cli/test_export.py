"""`auricle export`: what it prints, writes and refuses."""

from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

Run = Callable[..., tuple[int, str, str]]


def test_it_prints_the_directory(run_cli: Run, checkpoint_dir: Path, tmp_path: Path):
    out = tmp_path / "deep" / "out"
    assert run_cli("export", checkpoint_dir, out) == (0, f"{out}\n", "")
    assert run_cli("info", out)[0] == 0


def test_dtype_and_revision_reach_the_export(run_cli: Run, checkpoint_dir: Path, tmp_path: Path):
    assert run_cli("export", checkpoint_dir, tmp_path / "out", "--dtype", "float16")[0] == 0
    stored = load_file(tmp_path / "out" / "model.safetensors")
    assert {str(tensor.dtype) for tensor in stored.values()} == {"torch.float16"}
    code, _, err = run_cli("export", checkpoint_dir, tmp_path / "other", "--revision", "main")
    assert code == 2
    assert "revision 'main' is for a hub id" in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere", "OUT"], "unknown model 'nowhere'"),
        (["MODEL", "MODEL"], "is not empty; name a new directory"),
        (["MODEL", "OUT", "--dtype", "int8"], "unknown dtype 'int8': expected auto, float32, bfloat16 or float16"),
        (["EMPTY", "OUT"], "no config.json in"),
        (
            ["MODEL", "/proc/nothing/out"],
            "cannot write /proc/nothing/out: No such file or directory; name another directory",
        ),
    ],
)
def test_one_sentence(arguments: list[str], sentence: str, run_cli: Run, checkpoint_dir: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    names = {"MODEL": checkpoint_dir, "OUT": tmp_path / "out", "EMPTY": tmp_path / "empty"}
    code, out, err = run_cli("export", *(names.get(argument, argument) for argument in arguments))
    assert (code, out) == (2, "")
    assert err.startswith("auricle: ")
    assert len(err.splitlines()) == 1
    assert sentence in err
    assert not (tmp_path / "out").exists()
