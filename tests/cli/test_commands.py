"""The commands on a tiny checkpoint: what is printed where, and how options reach the assistant."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

import auricle
from auricle import Sampling
from auricle.assistant import Result
from auricle.cli.main import app

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(run_cli: Run, checkpoint_dir: Path) -> Run:
    """A command with the tiny model and short answers."""

    def with_model(command: str, *arguments: object) -> tuple[int, str, str]:
        return run_cli(command, "--model", checkpoint_dir, "--device", "cpu", "--max-new-tokens", 6, *arguments)

    return with_model


def test_version_and_help(run_cli: Run):
    assert run_cli("--version") == (0, f"{auricle.__version__}\n", "")
    for arguments in (["--help"], ["transcribe", "--help"], ["ask", "--help"], ["info", "--help"]):
        code, out, err = run_cli(*arguments)
        assert (code, err) == (0, "")
        assert "Usage: auricle" in out


def test_transcribe_prints_the_text(run: Run, checkpoint_dir: Path, recordings: list[Path]):
    assistant = auricle.load(checkpoint_dir, device="cpu")
    texts = [assistant.transcribe(path, sampling=Sampling(max_new_tokens=6)).text for path in recordings]
    assert run("transcribe", recordings[0]) == (0, f"{texts[0]}\n", "")
    code, out, err = run("transcribe", *recordings)
    assert (code, err) == (0, "")
    assert out == "".join(f"{path}: {text}\n" for path, text in zip(recordings, texts, strict=True))


@pytest.mark.parametrize("command", [["transcribe"], ["ask", "What is said?"]])
def test_json_is_one_object_per_recording_and_line(command: list[str], run: Run, recordings: list[Path]):
    code, out, err = run(command[0], "--json", *command[1:], *recordings)
    assert (code, err) == (0, "")
    objects = [json.loads(line) for line in out.splitlines()]
    assert [one["path"] for one in objects] == [str(path) for path in recordings]
    assert [one["duration_s"] for one in objects] == [1.0, 2.5, 4.0]
    for one in objects:
        assert isinstance(one["text"], str)
        assert one["num_tokens"] <= 6
        assert one["finish_reason"] in {"stop", "length"}


def test_ask_streams_the_answer(run: Run, checkpoint_dir: Path, recordings: list[Path]):
    assistant = auricle.load(checkpoint_dir, device="cpu")
    for files in ([recordings[0]], []):
        code, out, err = run("ask", "Who speaks?", *files)
        assert (code, err) == (0, "")
        expected = assistant.ask("Who speaks?", *files, sampling=Sampling(max_new_tokens=6)).text
        assert out.strip() == expected
        assert out.endswith("\n")
        [line] = run("ask", "--json", "Who speaks?", *files)[1].splitlines()
        assert json.loads(line)["text"] == expected
        assert json.loads(line)["path"] == (str(files[0]) if files else None)


def test_info(run_cli: Run, checkpoint_dir: Path):
    code, out, err = run_cli("info", checkpoint_dir, "--json")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert facts["directory"] == str(checkpoint_dir)
    assert facts["file_bytes"] == (checkpoint_dir / "model.safetensors").stat().st_size
    assert facts["text"]["vocab_size"] == 384
    code, out, err = run_cli("info", checkpoint_dir)
    assert (code, err) == (0, "")
    assert f"parameters: {facts['parameters']:,}\n" in out
    assert len(out.splitlines()) == len(facts)


OPTIONS = {
    *("--greedy", "--temperature", "--top-p", "--seed", "--max-new-tokens"),
    *("--dtype", "--device", "--batch-size", "--model", "--json"),
}


@pytest.mark.parametrize("command", ["transcribe", "ask"])
def test_every_answering_command_has_every_answering_option(command: str):
    commands: Any = typer.main.get_command(app)
    names = {name for parameter in commands.commands[command].params for name in parameter.opts}
    assert names >= OPTIONS


class Recorder:
    """Stands in for the assistant and remembers how it was used."""

    def __init__(self) -> None:
        self.loaded: tuple[object, dict[str, Any]] | None = None
        self.sampling: Sampling | None = None
        self.language: str | None = None

    def load(self, model: object, **settings: Any) -> "Recorder":
        self.loaded = (model, settings)
        return self

    def transcribe_each(self, files: list[Path], *, language: str, sampling: Sampling):
        self.language, self.sampling = language, sampling
        return iter([Result(str(file), "text", 1.0, 1, "stop") for file in files])

    def stream(self, question: str, file: Path | None, *, sampling: Sampling):
        self.sampling = sampling
        return iter(["te", "xt"])


@pytest.mark.parametrize("command", [["transcribe"], ["ask", "Q?"]])
def test_options_reach_the_assistant(
    command: list[str], run_cli: Run, recordings: list[Path], monkeypatch: pytest.MonkeyPatch
):
    recorder = Recorder()
    monkeypatch.setattr("auricle.assistant.load", recorder.load)
    settings = ["--model", "some/model", "--dtype", "bfloat16", "--device", "cuda:1", "--batch-size", 3]
    sampling = ["--temperature", 0.5, "--top-p", 0.8, "--seed", 7, "--max-new-tokens", 99]
    assert run_cli(*command, recordings[0], *settings, *sampling) == (0, "text\n", "")
    assert recorder.loaded == ("some/model", {"dtype": "bfloat16", "device": "cuda:1", "batch_size": 3})
    assert recorder.sampling == Sampling(temperature=0.5, top_p=0.8, seed=7, max_new_tokens=99)
    assert run_cli(*command, recordings[0], "--greedy")[0] == 0
    assert recorder.loaded == ("mini", {"dtype": "auto", "device": "auto", "batch_size": 8})
    assert recorder.sampling == Sampling()


def test_language_reaches_the_assistant(run_cli: Run, recordings: list[Path], monkeypatch: pytest.MonkeyPatch):
    recorder = Recorder()
    monkeypatch.setattr("auricle.assistant.load", recorder.load)
    run_cli("transcribe", recordings[0], "--language", "fr")
    assert recorder.language == "fr"
    run_cli("transcribe", recordings[0])
    assert recorder.language == "en"


def test_our_own_mistakes_keep_their_traceback(run_cli: Run, recordings: list[Path], monkeypatch: pytest.MonkeyPatch):
    def load(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("auricle.assistant.load", load)
    with pytest.raises(RuntimeError, match="a bug"):
        run_cli("transcribe", recordings[0])
