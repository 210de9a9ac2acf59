"""What a user does wrong, seen from the command line and from Python: one sentence, exit code 2, no traceback."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import auricle
from auricle.assistant import Assistant
from auricle.errors import UserError

Run = Callable[..., tuple[int, str, str]]
Encode = Callable[..., bytes]
Sine = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, encode_audio: Encode, sine: Sine) -> Callable[[str], Path]:
    """A recording of each kind that cannot be heard."""
    directory = tmp_path_factory.mktemp("bad recordings")

    def wav(samples: np.ndarray, codec: str) -> bytes:
        return encode_audio(samples[None], container="wav", codec=codec, rate=16000)

    def silent_film(path: Path) -> None:
        with av.open(str(path), "w") as output:
            stream = output.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            output.mux([*stream.encode(frame), *stream.encode(None)])

    def write(kind: str) -> Path:
        path = directory / kind
        match kind:
            case "missing.wav":
                path.unlink(missing_ok=True)
            case "directory.wav":
                path.mkdir(exist_ok=True)
            case "silent film.mkv":
                silent_film(path)
            case _:
                path.write_bytes(contents(kind))
        return path

    def contents(kind: str) -> bytes:
        match kind:
            case "empty.wav":
                return b""
            case "text.wav":
                return b"milk, bread, and no sound at all\n" * 99
            case "cut.mp3":
                return encode_audio(sine(3.0)[None], container="mp3", codec="libmp3lame", rate=16000)[:60]
            case "cut.wav":
                whole = wav(sine(1.0), "pcm_s16le")
                return whole[: whole.index(b"data") + 8]
            case "nan.wav":
                return wav(np.full(16000, np.nan, np.float32), "pcm_f32le")
            case "infinite.wav":
                return wav(np.full(16000, np.inf, np.float32), "pcm_f32le")
            case _:
                return wav(sine(0.02), "pcm_s16le")

    return write


# What the sentence says is wrong, what was found or expected, and what to do.
RECORDINGS = [
    ("missing.wav", ["no such file", "check the path"]),
    ("directory.wav", ["is a directory", "expected an audio file", "name the files in it"]),
    ("empty.wav", ["is empty (0 bytes)", "expected an audio file"]),
    ("text.wav", ["cannot decode", "expected a whole audio file that FFmpeg can read"]),
    ("cut.mp3", ["cannot decode", "expected a whole audio file"]),
    ("cut.wav", ["cannot decode", "it holds no sound", "expected a whole audio file", "copy or record it again"]),
    ("silent film.mkv", ["no sound track", "got a file without audio", "give a recording with sound"]),
    ("nan.wav", ["not finite", "got NaN or infinity", "expected numbers, usually in -1..1"]),
    ("infinite.wav", ["not finite", "got NaN or infinity", "expected numbers, usually in -1..1"]),
    ("short.wav", ["too short", "got 2 mel frames", "expected at least 3", "give at least 30 ms of sound"]),
]
each_recording = pytest.mark.parametrize(("kind", "words"), RECORDINGS, ids=[kind for kind, _ in RECORDINGS])


def sentence(code: int, out: str, err: str) -> str:
    assert (code, out) == (2, "")
    assert err.startswith("auricle: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert "Traceback" not in err
    return err


@each_recording
def test_a_recording_that_cannot_be_heard(
    kind: str, words: list[str], make: Callable[[str], Path], run_cli: Run, checkpoint_dir: Path
):
    path = make(kind)
    said = sentence(*run_cli("transcribe", path, "--model", checkpoint_dir))
    assert str(path) in said
    for word in words:
        assert word in said


@pytest.fixture(scope="module")
def assistant(checkpoint_dir: Path) -> Assistant:
    return auricle.load(checkpoint_dir, device="cpu")


@each_recording
def test_the_same_from_python(kind: str, words: list[str], make: Callable[[str], Path], assistant: Assistant):
    path = make(kind)
    for hear in (assistant.transcribe, lambda recording: assistant.ask("What is said?", recording)):
        with pytest.raises(UserError) as caught:
            hear(path)
        assert str(path) in str(caught.value)
        for word in words:
            assert word in str(caught.value)


@pytest.mark.parametrize("kind", ["text.wav", "silent film.mkv", "nan.wav", "short.wav"])
def test_files_before_a_bad_one_are_still_transcribed(
    kind: str, make: Callable[[str], Path], run_cli: Run, checkpoint_dir: Path, recordings: list[Path]
):
    first, second, third = recordings
    code, out, err = run_cli("transcribe", first, second, make(kind), third, "--json", "--model", checkpoint_dir)
    assert [json.loads(line)["path"] for line in out.splitlines()][:2] == [str(first), str(second)]
    assert kind in sentence(code, "", err)


def without_privileges(*command: str) -> list[str]:
    """As root, give up reading what permissions forbid; the process keeps its user, and so its directories."""
    if os.geteuid() != 0:
        return list(command)
    drop = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps=-all"]
    if shutil.which("setpriv") is None or subprocess.run([*drop, "true"], check=False, capture_output=True).returncode:
        pytest.skip("root may read every file, and setpriv cannot take that away here")
    return [*drop, *command]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are POSIX")
def test_a_file_that_may_not_be_read(recordings: list[Path], checkpoint_dir: Path, tmp_path: Path):
    locked = Path(shutil.copy(recordings[0], tmp_path / "locked.wav"))
    options = ["--json", "--model", str(checkpoint_dir), "--device", "cpu", "--max-new-tokens", "2"]
    command = [sys.executable, "-m", "auricle.cli.main", "transcribe", str(recordings[1]), str(locked), *options]
    locked.chmod(0)
    done = subprocess.run(without_privileges(*command), capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["path"] == str(recordings[1])
    assert sentence(done.returncode, "", done.stderr) == (
        f"auricle: cannot read {locked}: no permission; allow reading it\n"
    )


def test_an_unknown_model(run_cli: Run, recordings: list[Path]):
    said = sentence(*run_cli("transcribe", recordings[0], "--model", "nowhere"))
    for word in ("unknown model 'nowhere'", "expected mini, a directory, or"):
        assert word in said
    with pytest.raises(UserError, match="unknown model 'nowhere': expected mini, a directory, or"):
        auricle.load("nowhere")


MISSING = "language_model.model.layers.1.mlp.up_proj.weight"
UNEXPECTED = "audio_tower.layers.9.fc1.weight"
MIS_SHAPED = "multi_modal_projector.linear.weight"
TENSORS = {
    "missing": (lambda state: state.pop(MISSING), f"missing {MISSING}"),
    "unexpected": (lambda state: state.update({UNEXPECTED: torch.zeros(1)}), f"unexpected {UNEXPECTED}"),
    "mis-shaped": (
        lambda state: state.update({MIS_SHAPED: torch.zeros(16, 32)}),
        f"{MIS_SHAPED} has shape (16, 32), expected (32, 16)",
    ),
}


@pytest.mark.parametrize("problem", TENSORS)
def test_a_model_whose_tensors_do_not_fit(
    problem: str, checkpoint_dir: Path, tmp_path: Path, run_cli: Run, recordings: list[Path]
):
    change, named = TENSORS[problem]
    directory = shutil.copytree(checkpoint_dir, tmp_path / "changed")
    state = {name: tensor.clone() for name, tensor in load_file(directory / "model.safetensors").items()}
    change(state)
    save_file(state, directory / "model.safetensors")
    said = sentence(*run_cli("transcribe", recordings[0], "--model", directory))
    for word in (str(directory), "do not fit its config.json", named):
        assert word in said
    with pytest.raises(UserError) as caught:
        auricle.load(directory)
    assert named in str(caught.value)
