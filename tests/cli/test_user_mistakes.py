"""Every mistake of the user: exit code 2, one sentence on one line of stderr, nothing on stdout."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def refusal(run_cli: Run, checkpoint_dir: Path, recordings: list[Path]) -> Callable[..., str]:
    """Run with the tiny model (FILE is a good recording) and expect to be refused."""

    def refused(*arguments: object) -> str:
        filled = [recordings[0] if argument == "FILE" else argument for argument in arguments]
        model = [] if "--model" in arguments else ["--model", checkpoint_dir]
        code, out, err = run_cli(filled[0], *model, *filled[1:])
        assert (code, out) == (2, "")
        assert err.startswith("auricle: ")
        assert len(err.splitlines()) == 1
        assert "Traceback" not in err
        return err.removeprefix("auricle: ").rstrip("\n")

    return refused


MISTAKES = [
    (["transcribe", "missing.wav"], "no such file: missing.wav; check the path"),
    (["transcribe", "FILE", "missing.wav"], "no such file: missing.wav; check the path"),
    (["ask", "Q?", "missing.wav"], "no such file: missing.wav; check the path"),
    (["transcribe", "a" * 300], "no such file: aaa"),
    (["transcribe", "/"], "/ is a directory, expected an audio file"),
    (["transcribe", __file__], "cannot decode"),
    (["ask", "Q?", __file__], "cannot decode"),
    (["ask", "Q?", "FILE", __file__, "--model", "nowhere"], "unknown model 'nowhere': expected mini, a directory, or"),
    (["transcribe", "FILE", "--model", "nowhere"], "unknown model 'nowhere'"),
    (["transcribe", "FILE", "--model", __file__], "is a file, expected a checkpoint directory"),
    (["transcribe", "FILE", "--model", "/"], "no tokenizer.json in /"),
    (["transcribe", "FILE", "--device", "gpu"], "no device 'gpu' here"),
    (["transcribe", "FILE", "--dtype", "float8"], "unknown dtype 'float8'"),
    (["ask", "Q?", "--batch-size", "0"], "batch_size must be at least 1: got 0"),
    (["transcribe", "FILE", "--language", "klingonese"], "unknown language 'klingonese'"),
    (["translate", "FILE", "--to", "<|de|>"], "unknown language '<|de|>': expected a name such as German"),
    (["transcribe", "FILE", "--format", "doc"], "unknown format 'doc'"),
    (["transcribe", "-", "FILE", "-"], "standard input can be heard once: got - 2 times; name it once"),
    (["ask", "Q?", "-", "-", "--together"], "standard input can be heard once: got - 2 times; name it once"),
    (["translate", "FILE", "--to", "auto"], "unknown language 'auto': expected a name such as German"),
    (["transcribe", "FILE", "--no-fallback", "--logprob-threshold", "-1"], "so no threshold has an effect; leave one"),
    (["translate", "FILE", "--to", "de", "--no-fallback", "--compression-ratio-threshold", "2"], "--no-fallback tries"),
    (["transcribe", "FILE", "--max-line-width", "20"], "lay out subtitles, of which there are none; add --format srt"),
    (["transcribe", "FILE", "--max-line-count", "1", "-f", "tsv"], "lay out subtitles, of which there are none"),
    (["transcribe", "FILE", "--max-line-width", "1", "-f", "srt"], "max_line_width must be at least 2: got 1"),
    (["ask", "", "--raw"], "the raw prompt is empty; expected a text, a recording, or both"),
    (["ask", "", "--raw", "--json"], "the raw prompt is empty; expected a text, a recording, or both"),
    (["transcribe", "FILE", "--json", "--format", "srt"], "--json prints lines of JSON, --format and --output-dir"),
    (["transcribe", "FILE", "--window", "31"], "a window lasts 1 to 30 s: got 31.0; the encoder hears no more at once"),
    (["transcribe", "FILE", "--engine", "gguf"], "unknown engine 'gguf'"),
    (["ask", "Q?", "--raw", "--system", "Be brief."], "--raw has no turns, so --system has no place in it; leave"),
    (["ask", "Q?", "--top-k", "5"], "--top-k 5 has no effect without sampling"),
    (["ask", "Q?", "--min-p", "0.1"], "--min-p 0.1 has no effect without sampling"),
    (["ask", "Q?", "--length-penalty", "2"], "--length-penalty has no effect without beam search"),
    (["ask", "Q?", "--num-beams", "2", "--temperature", "1"], "beam search does not sample"),
    (["ask", "Q?", "--repetition-penalty", "0"], "repetition_penalty must be above 0"),
    (["ask", "Q?", "--stop", ""], "stop holds an empty text"),
    (["ask", "Q?", "--max-new-tokens", "3", "--min-new-tokens", "4"], "min_new_tokens 4 exceeds max_new_tokens 3"),
    (["ask", ""], "the question is empty"),
    (["ask", "", "--json"], "the question is empty"),
    (["ask", "Q?", "--max-new-tokens", "5000"], "prompt too long"),
    (["transcribe", "FILE", "--no-vad", "--max-new-tokens", "5000"], "prompt too long"),
    (["transcribe", "FILE", "--no-vad", "--vad-threshold", "0.3"], "--no-vad looks for no speech, so --vad-threshold"),
    (["translate", "FILE", "--to", "de", "--no-vad", "--min-silence", "1"], "and --min-silence have no effect"),
    (["transcribe", "FILE", "--vad-threshold", "1.5"], "of voice activity must lie between 0 and 1: got 1.5; 0.3 is"),
    (["transcribe", "FILE", "--vad-threshold", "nan"], "of voice activity must lie between 0 and 1: got nan; 0.3 is"),
    (["transcribe", "FILE", "--min-silence", "-1"], "min_silence_s of voice activity must not be negative: got -1.0 s"),
    (["ask", "Q?", "--max-new-tokens", "0"], "max_new_tokens must be at least 1: got 0"),
    (["ask", "Q?", "--temperature", "-1"], "temperature must not be negative: got -1.0"),
    (["ask", "Q?", "--temperature", "nan"], "temperature must not be negative: got nan"),
    (["ask", "Q?", "--temperature", "1", "--top-p", "0"], "top_p must lie in (0, 1]: got 0.0"),
    (["transcribe", "FILE", "--greedy", "--temperature", "0.7"], "contradict each other; give one of them"),
    (["ask", "Q?", "--greedy", "--temperature", "0.7"], "contradict each other; give one of them"),
    (["ask", "Q?", "--greedy", "--top-p", "0.9"], "contradict each other; give one of them"),
    (["ask", "Q?", "--top-p", "0.9"], "--top-p 0.9 has no effect without sampling; add --temperature"),
    (["ask", "Q?", "--seed", "1"], "--seed 1 has no effect without sampling; add --temperature"),
    (["ask", "Q?", "--temperature", "0", "--seed", "1"], "--seed 1 has no effect without sampling"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES, ids=[" ".join(m[0])[:60] for m in MISTAKES])
def test_one_sentence_and_exit_code_2(arguments: list[str], sentence: str, refusal: Callable[..., str]):
    assert sentence in refusal(*arguments)


def test_info_of_nothing(run_cli: Run, tmp_path: Path):
    for model, sentence in (("nowhere", "unknown model 'nowhere'"), (tmp_path, "no config.json in")):
        code, out, err = run_cli("info", model, "--json")
        assert (code, out) == (2, "")
        assert sentence in err


def test_a_file_name_of_two_lines_is_still_one_line(refusal: Callable[..., str]):
    assert "no such file: two lines.wav" in refusal("transcribe", "two\nlines.wav")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["transcribe"], "Missing argument"),
        (["ask"], "Missing argument"),
        (["transcribe", "FILE", "--nope"], "No such option"),
        (["ask", "Q?", "--temperature", "warm"], "Invalid value for '--temperature'"),
        (["ask", "Q?", "--batch-size", "1.5"], "Invalid value for '--batch-size'"),
        (["ask", "Q?", "--model"], "requires an argument"),
        (["sing"], "No such command"),
    ],
)
def test_usage_errors(arguments: list[str], complaint: str, run_cli: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = run_cli(*arguments)
    assert (code, out) == (2, "")
    assert complaint in err
    assert "Traceback" not in err


def test_a_missing_file_is_noticed_before_a_model_is_loaded(
    run_cli: Run, recordings: list[Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("auricle.assistant.load", lambda *_, **__: pytest.fail("a model was loaded"))
    for command in (["transcribe"], ["ask", "Q?"]):
        assert run_cli(*command, recordings[0], "missing.wav")[0] == 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--format", "doc"], "unknown format 'doc': expected one of txt, srt, vtt, tsv, json, all"),
        (["--format", "srt,doc"], "unknown format 'doc': expected one of txt, srt, vtt, tsv, json, all"),
        (["--output-dir", __file__], "is not a directory; expected one for the transcripts"),
    ],
)
def test_no_place_or_form_is_noticed_before_a_model_is_loaded(
    options: list[str], sentence: str, refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("auricle.assistant.load", lambda *_, **__: pytest.fail("a model was loaded"))
    assert sentence in refusal("transcribe", "FILE", *options)


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("command", [["transcribe"], ["ask", "Q?"]])
def test_a_bad_file_costs_no_other_file(
    batch_size: int, command: list[str], run_cli: Run, checkpoint_dir: Path, recordings: list[Path]
):
    files = [*recordings[:2], Path(__file__), recordings[2]]
    options = ["--json", "--model", checkpoint_dir, "--batch-size", batch_size, "--max-new-tokens", 4]
    code, out, err = run_cli(*command, *files, *options)
    assert code == 2
    assert [json.loads(line)["path"] for line in out.splitlines()] == [str(path) for path in recordings]
    assert err.startswith(f"auricle: cannot decode {__file__}: ")
    assert len(err.splitlines()) == 1
