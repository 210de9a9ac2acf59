"""The commands on a tiny checkpoint: what is printed where, and how options reach the assistant."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

import auricle
from auricle import Sampling
from auricle.assistant import Fallback, Result
from auricle.assistant.languages import HEARD
from auricle.audio import VoiceActivity
from auricle.cli.main import app
from auricle.conversation import Audio, Message, RawPrompt

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(run_cli: Run, checkpoint_dir: Path) -> Run:
    """A command with the tiny model and short answers; tones are heard, too."""

    def with_model(command: str, *arguments: object) -> tuple[int, str, str]:
        heard = [] if command == "ask" else ["--no-vad"]
        return run_cli(command, "--model", checkpoint_dir, "--device", "cpu", "--max-new-tokens", 6, *heard, *arguments)

    return with_model


def test_version_and_help(run_cli: Run):
    assert run_cli("--version") == (0, f"{auricle.__version__}\n", "")
    for arguments in (["--help"], ["transcribe", "--help"], ["ask", "--help"], ["info", "--help"]):
        code, out, err = run_cli(*arguments)
        assert (code, err) == (0, "")
        assert "Usage: auricle" in out


def test_transcribe_prints_the_text(run: Run, checkpoint_dir: Path, recordings: list[Path]):
    assistant = auricle.load(checkpoint_dir, device="cpu")
    short = Sampling(max_new_tokens=6)
    texts = [assistant.transcribe(path, sampling=short, voice=None).text for path in recordings]
    assert all(texts)
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
    *("--greedy", "--temperature", "--top-k", "--top-p", "--min-p", "--repetition-penalty", "--num-beams"),
    *("--length-penalty", "--stop", "--min-new-tokens", "--max-new-tokens", "--seed"),
    *("--model", "--revision", "--engine", "--dtype", "--device", "--batch-size", "--json"),
}
WINDOWED = {
    *("--language", "--initial-prompt", "--window", "--no-fallback", "--compression-ratio-threshold"),
    *("--no-vad", "--vad-threshold", "--min-silence"),
    *("--logprob-threshold", "--format", "--output-dir", "--max-line-width", "--max-line-count"),
}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("transcribe", OPTIONS | WINDOWED),
        ("translate", OPTIONS | WINDOWED | {"--to"}),
        ("ask", OPTIONS | {"--together", "--system", "--raw"}),
    ],
)
def test_every_answering_command_has_every_answering_option(command: str, expected: set[str]):
    commands: Any = typer.main.get_command(app)
    names = {name for parameter in commands.commands[command].params for name in parameter.opts}
    assert names >= expected


class Recorder:
    """Stands in for the assistant and remembers how it was used."""

    defaults = Sampling(temperature=0.7, top_k=20, top_p=0.5, repetition_penalty=1.1)

    def __init__(self) -> None:
        self.loaded: tuple[object, dict[str, Any]] | None = None
        self.settings: dict[str, Any] = {}
        self.prompt: Any = None

    def load(self, model: object, **settings: Any) -> "Recorder":
        self.loaded = (model, settings)
        return self

    def transcribe_each(self, files: list[str], *, watch: object, **settings: Any):
        self.settings = settings
        return iter([Result(file, "text", 1.0, 1, "stop") for file in files])

    translate_each = transcribe_each

    def stream(self, prompt: Any, *files: str, sampling: Sampling):
        self.prompt, self.settings = prompt, {"sampling": sampling}
        return iter(["te", "xt"])


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr("auricle.assistant.load", recorder.load)
    return recorder


COMMANDS = [["transcribe"], ["translate", "--to", "de"], ["ask", "Q?"]]


@pytest.mark.parametrize("command", COMMANDS)
def test_options_reach_the_assistant(command: list[str], run_cli: Run, recordings: list[Path], recorder: Recorder):
    settings = ["--model", "some/model", "--dtype", "bfloat16", "--device", "cuda:1", "--batch-size", 3]
    settings += ["--engine", "transformers", "--revision", "main"]
    sampling = ["--temperature", 0.5, "--top-k", 9, "--top-p", 0.8, "--min-p", 0.1, "--seed", 7]
    sampling += ["--repetition-penalty", 1.2, "--stop", "a", "--stop", "b", "--min-new-tokens", 1]
    sampling += ["--max-new-tokens", 99]
    assert run_cli(*command, recordings[0], *settings, *sampling) == (0, "text\n", "")
    expected = {"dtype": "bfloat16", "device": "cuda:1", "batch_size": 3, "engine": "transformers", "revision": "main"}
    assert recorder.loaded == ("some/model", expected)
    assert recorder.settings["sampling"] == Sampling(
        temperature=0.5,
        top_k=9,
        top_p=0.8,
        min_p=0.1,
        seed=7,
        repetition_penalty=1.2,
        stop=("a", "b"),
        min_new_tokens=1,
        max_new_tokens=99,
    )
    beams = ["--num-beams", 4, "--length-penalty", 0.5, "--temperature", 0]
    assert run_cli(*command, recordings[0], *beams)[0] == 0
    assert (recorder.settings["sampling"].num_beams, recorder.settings["sampling"].length_penalty) == (4, 0.5)


@pytest.mark.parametrize("command", COMMANDS)
def test_without_options(command: list[str], run_cli: Run, recordings: list[Path], recorder: Recorder):
    """A question follows the model's generation_config, a transcript is greedy; --greedy keeps the penalty only."""
    assert run_cli(*command, recordings[0])[0] == 0
    expected = {"dtype": "auto", "device": "auto", "batch_size": 8, "engine": "native", "revision": None}
    assert recorder.loaded == ("mini", expected)
    assert recorder.settings["sampling"] == (recorder.defaults if command[0] == "ask" else Sampling())
    assert run_cli(*command, recordings[0], "--greedy")[0] == 0
    penalty = recorder.defaults.repetition_penalty if command[0] == "ask" else 1.0
    assert recorder.settings["sampling"] == Sampling(repetition_penalty=penalty)


def test_greedy_is_without_beams_unless_they_are_asked_for(
    run_cli: Run, recordings: list[Path], recorder: Recorder, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(recorder, "defaults", Sampling(num_beams=4, length_penalty=2.0))
    for flags, num_beams in (([], 4), (["--greedy"], 1), (["--greedy", "--num-beams", 3], 3)):
        assert run_cli("ask", "Q?", recordings[0], *flags)[0] == 0
        assert recorder.settings["sampling"].num_beams == num_beams


def test_window_options_reach_the_assistant(run_cli: Run, recordings: list[Path], recorder: Recorder):
    run_cli("transcribe", recordings[0])
    assert recorder.settings["language"] == "en"
    assert recorder.settings["fallback"] == Fallback()
    assert recorder.settings["voice"] == VoiceActivity()
    options = ["--language", "fr", "--initial-prompt", "Auricle", "--window", 12]
    options += ["--compression-ratio-threshold", 3, "--logprob-threshold", -1]
    run_cli("transcribe", recordings[0], *options)
    assert (recorder.settings["language"], recorder.settings["initial_prompt"]) == ("fr", "Auricle")
    assert recorder.settings["window_s"] == 12
    assert recorder.settings["fallback"] == Fallback(max_compression=3, min_logprob=-1)
    run_cli("translate", "--to", "German", recordings[0], "--no-fallback")
    assert (recorder.settings["to"], recorder.settings["language"]) == ("German", "auto")
    assert recorder.settings["fallback"].temperatures == ()
    run_cli("translate", "--to", "German", recordings[0], "--vad-threshold", 0.7, "--min-silence", 1.5)
    assert recorder.settings["voice"] == VoiceActivity(threshold=0.7, min_silence_s=1.5)
    run_cli("transcribe", recordings[0], "--no-vad")
    assert recorder.settings["voice"] is None


def test_questions_of_every_form(run_cli: Run, recordings: list[Path], recorder: Recorder):
    run_cli("ask", "--system", "Be brief.", "Q?", recordings[0])
    assert recorder.prompt == [Message("system", ("Be brief.",)), Message("user", (Audio(), "Q?"))]
    run_cli("ask", "--together", "Q?", *recordings[:2])
    assert recorder.prompt == [Message("user", (Audio(), Audio(), "Q?"))]
    run_cli("ask", "--raw", "Generate the caption in English:", recordings[0])
    assert recorder.prompt == RawPrompt((Audio(), "Generate the caption in English:"))


@pytest.mark.parametrize("form", ["txt", "srt", "vtt", "tsv", "json"])
def test_formats_on_stdout_are_the_files(form: str, run: Run, recordings: list[Path], tmp_path: Path):
    code, out, err = run("transcribe", recordings[0], "--format", form)
    assert (code, err) == (0, "")
    [written] = run("transcribe", recordings[0], "--format", form, "--output-dir", tmp_path)[1].splitlines()
    assert Path(written).read_text() == out
    assert Path(written).name == f"{recordings[0].stem}.{form}"


def test_all_formats(run: Run, recordings: list[Path], tmp_path: Path):
    code, out, err = run("translate", "--to", "de", "-l", "en", *recordings, "-f", "all", "-o", tmp_path / "new")
    assert (code, err) == (0, "")
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {f"{path.stem}.{form}" for path in recordings for form in ("txt", "srt", "vtt", "tsv", "json")}
    assert {Path(line).name for line in out.splitlines()} == names


def test_several_formats_are_files_here(
    run: Run, recordings: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Without --output-dir too, where one format alone is printed."""
    monkeypatch.chdir(tmp_path)
    stem = recordings[0].stem
    for formats, names in (("srt,vtt", {f"{stem}.srt", f"{stem}.vtt"}), ("all", {f"{stem}.tsv", f"{stem}.json"})):
        code, out, err = run("transcribe", recordings[0], "-f", formats, "--max-line-width", 20)
        assert (code, err) == (0, "")
        assert names <= set(out.splitlines()) == {path.name for path in tmp_path.iterdir()}


def test_letters_that_the_output_cannot_hold(run_cli: Run, recordings: list[Path], recorder: Recorder):
    """As where PYTHONIOENCODING or an old Windows console knows few: an escape, which JSON reads back."""

    def heard(files: list[str], **_: object) -> Iterator[Result]:
        return iter([Result("caf\udce9.wav", "你好", 1.0, 1, "stop")])

    recorder.transcribe_each = heard
    sys.stdout.reconfigure(encoding="ascii")
    code, out, err = run_cli("transcribe", recordings[0], "--json")
    assert (code, err) == (0, "")
    assert out.isascii()
    assert (json.loads(out)["path"], json.loads(out)["text"]) == ("caf\udce9.wav", "你好")


def test_standard_input(run: Run, recordings: list[Path], monkeypatch: pytest.MonkeyPatch):
    expected = run("transcribe", recordings[1])[1]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(recordings[1].read_bytes())))
    assert run("transcribe", "-") == (0, expected, "")


def test_the_language_is_found_and_its_probability_reported(run: Run, recordings: list[Path]):
    found = json.loads(run("transcribe", recordings[0], "--language", "auto", "--json")[1])
    assert found["language"] in HEARD
    assert 1 / len(HEARD) <= found["language_probability"] < 1
    assert found["segments"][0]["end_s"] == 1.0


@pytest.mark.filterwarnings("always")
def test_a_warning_is_one_line(run: Run, tmp_path: Path, noise: Callable[..., Any], encode_audio: Callable[..., bytes]):
    path = tmp_path / "long.wav"
    path.write_bytes(encode_audio(noise(40)[None], container="wav", codec="pcm_s16le", rate=16000))
    code, _, err = run("ask", "Q?", path)
    assert code == 0
    assert err.startswith(f"auricle: {path} lasts 40 s, beyond the 30 s that the model was trained to answer about")
    assert len(err.splitlines()) == 1


def test_our_own_mistakes_keep_their_traceback(run_cli: Run, recordings: list[Path], monkeypatch: pytest.MonkeyPatch):
    def load(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("auricle.assistant.load", load)
    with pytest.raises(RuntimeError, match="a bug"):
        run_cli("transcribe", recordings[0])
