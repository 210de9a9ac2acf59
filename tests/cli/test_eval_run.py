"""`auricle eval run` as it is typed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from auricle.evaluate.lists import write_samples
from auricle.evaluate.run_folder import RunFolder
from auricle.evaluate.sample import Sample


@pytest.fixture
def listed(recordings: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    samples = [Sample(path.stem, "tones", f"tones_{path.stem}", "asr", path, "What?", "beep") for path in recordings]
    write_samples(samples, tmp_path / "tones.jsonl")
    return tmp_path / "tones.jsonl"


@pytest.fixture
def evaluate(run_cli: Callable, checkpoint_dir: Path, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: object) -> tuple[int, str, str]:
        return run_cli("eval", "run", *arguments, "--model", checkpoint_dir, "--device", "cpu", "--out", tmp_path / "o")

    return run


def test_a_run_says_how_it_went_and_what_comes_next(evaluate: Callable, listed: Path, tmp_path: Path):
    code, printed, _ = evaluate(listed, "--max-new-tokens", 4)
    assert code == 0
    first, last = printed.splitlines()
    assert first.startswith("3 samples answered, 0 failed, ")
    assert first.endswith(" s of audio per s")
    assert last == f"next: auricle eval report {tmp_path / 'o'}"
    folder = RunFolder(tmp_path / "o")
    assert (folder.num_missing, folder.info.audio_s) == (0, 7.5)
    assert {path.name for path in (tmp_path / "o").iterdir()} >= {"run.json", "samples.jsonl", "answers.sqlite"}
    code, _, said = evaluate(listed, "--max-new-tokens", 4, "--batch-size", 2)
    assert (code, said) == (0, "3 samples are answered already, 0 are to be asked\n")


def test_settings_are_the_official_ones_whatever_the_checkpoint_says(
    run_cli: Callable, listed: Path, checkpoint_dir: Path, tmp_path: Path
):
    import shutil

    other = tmp_path / "other"
    shutil.copytree(checkpoint_dir, other)
    contents = json.loads((other / "generation_config.json").read_text())
    own = {"repetition_penalty": 1.7, "do_sample": True, "temperature": 1.5, "max_new_tokens": 3}
    (other / "generation_config.json").write_text(json.dumps(contents | own))
    texts = []
    for model in (checkpoint_dir, other):
        out = tmp_path / f"out-{model.name}"
        assert run_cli("eval", "run", listed, "--model", model, "--device", "cpu", "--out", out, "--limit", 1)[0] == 0
        folder = RunFolder(out)
        texts.append([one.text for one in folder.answered()])
    assert texts[0] == texts[1]
    sampling = folder.info.sampling
    assert (sampling.temperature, sampling.max_new_tokens, sampling.min_new_tokens) == (0, 256, 1)
    assert (sampling.repetition_penalty, sampling.num_beams, sampling.stop) == (1, 1, ())


def test_a_limit_may_grow(evaluate: Callable, run_cli: Callable, listed: Path, tmp_path: Path):
    source = "tones/tones_3*"
    arguments = (source, "--list", listed, "--max-new-tokens", 2)
    assert evaluate(*arguments)[1].startswith("1 samples answered")
    code, printed, said = evaluate("--list", listed, "--max-new-tokens", 2)
    assert (code, said) == (0, "1 samples are answered already, 2 are to be asked\n")
    assert printed.startswith("3 samples answered")
    code, _, said = evaluate(*arguments)
    assert code == 2
    assert "2 of its own are not asked for now" in said


def test_another_count_than_the_published_is_told_before_anything_is_asked(
    run_cli: Callable, recordings: list[Path], tmp_path: Path
):
    one = Sample("a", "librispeech", "librispeech_dev_clean", "asr", recordings[0], "What?", "beep")
    write_samples([one, replace(one, id="b")], tmp_path / "list.jsonl")
    code, printed, said = run_cli(
        *("eval", "run", tmp_path / "list.jsonl", "--limit", 1, "--model", tmp_path / "none", "--out", tmp_path / "o")
    )
    assert (code, printed) == (2, "")
    told, refused = said.splitlines()
    assert told == "librispeech_dev_clean: 2 samples, the published row has 2,694"
    assert "none" in refused


def test_a_limit_is_of_each_source_and_recorded(evaluate: Callable, recordings: list[Path], tmp_path: Path):
    samples = [Sample(path.stem, "tones", "tones", "asr", path, "What?", "Beep, beep.") for path in recordings]
    write_samples(samples, tmp_path / "list.jsonl")
    code, printed, _ = evaluate(tmp_path / "list.jsonl", "--max-new-tokens", 2, "--limit", 2)
    assert code == 0
    assert printed.startswith("2 samples answered")
    info = RunFolder(tmp_path / "o").info
    assert (info.limit, info.conventions) == (2, (("tones", True, True),))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--max-new-tokens", 5), "sampling.max_new_tokens was 4, is 5; keep them to go on with it, or name another"),
        (("--max-new-tokens", 4, "--prompt", "chat"), "prompt_form was raw, is chat; "),
        (("--max-new-tokens", 4, "--dtype", "bfloat16"), "dtype was float32, is bfloat16; "),
        (("--max-new-tokens", 4, "--limit", 0), "limit must be at least 1: got 0; leave it out to ask for all"),
        (("--max-new-tokens", 4, "--processes", 0), "processes must be at least 1: got 0"),
        (("--max-new-tokens", 4, "--batch-size", 0), "batch_size must be at least 1: got 0"),
        (("--engine", "vlm"), "unknown engine 'vlm': expected native, transformers, vllm, faster-whisper or a URL"),
    ],
)
def test_what_does_not_fit_is_one_sentence(arguments: tuple, told: str, evaluate: Callable, listed: Path):
    assert evaluate(listed, "--max-new-tokens", 4)[0] == 0
    code, _, said = evaluate(listed, *arguments)
    assert code == 2
    assert told in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--prompt", "raw"), "takes conversations only, not the raw prompt of a base model; leave --prompt out, or"),
        (("--dtype", "bfloat16"), "chooses its own dtype: got 'bfloat16'; leave it out"),
        (("--revision", "main"), "chooses its own revision: got 'main'; leave it out"),
    ],
)
def test_a_server_is_asked_in_conversations_only(
    arguments: tuple, told: str, run_cli: Callable, listed: Path, tmp_path: Path
):
    code, _, said = run_cli(
        *("eval", "run", listed, "--engine", "http://localhost:1/v1", "--model", "m", "--out", tmp_path / "o"),
        *arguments,
    )
    assert code == 2
    assert told in said


@pytest.mark.slow
def test_two_processes_give_the_answers_of_one(run_cli: Callable, listed: Path, checkpoint_dir: Path, tmp_path: Path):
    answers = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        fixed = ("--model", checkpoint_dir, "--device", "cpu", "--max-new-tokens", 8)
        assert run_cli("eval", "run", listed, *fixed, "--processes", processes, "--out", out)[0] == 0
        answers.append(RunFolder(out).answered())
    assert answers[0] == answers[1]
