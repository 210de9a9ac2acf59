"""What `auricle bench` refuses: one sentence on one line, exit code 2, before anything is measured."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def refusal(run_cli: Run, checkpoint_dir: Path) -> Callable[..., str]:
    def refused(*arguments: object) -> str:
        code, out, err = run_cli("bench", "--model", checkpoint_dir, *arguments)
        assert (code, out) == (2, "")
        assert err.startswith("auricle: ")
        assert len(err.splitlines()) == 1
        return err.removeprefix("auricle: ").rstrip("\n")

    return refused


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--only", "speed"], "unknown measurement 'speed': expected some of mel, encoder, "),
        (["--rounds", "0"], "rounds must be at least 1: got 0; raise it"),
        (
            ["--batch-sizes", "4,0"],
            "batch_sizes must name at least one size, each 1 or more: got (4, 0); give such as 8,16",
        ),
        (["--batch-sizes", "4;8"], "batch sizes '4;8': expected whole numbers such as 4,8,16"),
        (
            ["--json", "nowhere/out.json"],
            "cannot write nowhere/out.json: expected a file's name in a folder that exists",
        ),
        (["--chart", "EMPTY"], ": expected a file's name in a folder that exists; make the folder first"),
        (["--chart", "chart.doc"], "cannot draw chart.doc: expected a name that ends in .svg or .png; name it so"),
        (["--clips", "EMPTY"], "; name audio files or directories of them"),
        (["--clips", "LONG"], "long.wav lasts 31.0 s, expected at most 30; leave it out"),
    ],
)
def test_one_sentence(
    arguments: list[str],
    sentence: str,
    refusal: Callable[..., str],
    tmp_path: Path,
    noise: Callable[..., np.ndarray],
    encode_audio: Callable[..., bytes],
):
    (tmp_path / "empty").mkdir()
    sound = encode_audio(noise(31)[None], container="wav", codec="pcm_s16le", rate=16000)
    (tmp_path / "long.wav").write_bytes(sound)
    names = {"EMPTY": tmp_path / "empty", "LONG": tmp_path / "long.wav"}
    assert sentence in refusal(*(names.get(argument, argument) for argument in arguments))


def test_without_transformers(refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    sentence = "the benchmark needs the transformers library to compare with; run `pip install 'auricle[bench]'`"
    assert refusal("--only", "mel", "--num-clips", "1") == sentence
