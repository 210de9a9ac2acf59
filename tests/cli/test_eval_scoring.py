"""`eval score` and `eval report` on a run's folder, without any model."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from auricle.content_cache import ContentCache
from auricle.conversation import Sampling
from auricle.evaluate.processes import to_json
from auricle.evaluate.run_folder import RunFolder, begin
from auricle.evaluate.run_info import RunInfo
from auricle.evaluate.sample import Answered, Sample

Run = Callable[..., tuple[int, str, str]]
INFO = RunInfo("tiny", "0" * 64, "native", "float32", "raw", Sampling(), None, (), "here", "2026-11-22T20:00:00+00:00")
SAID = {  # by folder: what the model answered to each of three recordings
    "good": ("the cat sat", "brown dogs ran", "a bird sang"),
    "bad": ("the cat", "brown docks ran", "bird sang"),
}
RIGHT = ("The cat sat.", "Brown dogs ran.", "A bird sang.")


@pytest.fixture
def folder(tmp_path: Path, recordings: list[Path]) -> Callable[[str], Path]:
    """A finished run of the given name."""

    def make(name: str) -> Path:
        samples = [
            Sample(
                f"{number}", "made", "clean", "asr", path, "?", right, "en", speaker=f"speaker {number}", duration_s=2.0
            )
            for number, (path, right) in enumerate(zip(recordings, RIGHT, strict=True))
        ]
        keys = [f"{name} {number}" for number in range(3)]
        (tmp_path / name).mkdir()
        run = begin(tmp_path / name, INFO, samples, keys)
        cache = ContentCache(run.answers)
        for key, sample, text in zip(keys, samples, SAID[name], strict=True):
            cache.put({key: to_json(Answered(sample, text))})
        cache.close()
        return tmp_path / name

    return make


def test_scores_are_shown_and_kept(folder: Callable[[str], Path], run_cli: Run) -> None:
    bad = folder("bad")
    code, out, _ = run_cli("eval", "score", bad)
    assert code == 0
    # 3 of 9 words: sat, dogs, a; strict has three points and three capitals on top
    assert "33.33" in out
    assert "clean" in out
    kept = json.loads((bad / "scores.json").read_text())
    assert [row["mode"] for row in kept["rows"]] == ["official", "strict"]
    code, again, _ = run_cli("eval", "score", bad)
    assert again == out


def test_json_has_every_figure(folder: Callable[[str], Path], run_cli: Run) -> None:
    code, out, _ = run_cli("eval", "score", folder("bad"), "--json", "--no-snr")
    assert code == 0
    text = json.dumps(json.loads(out))
    assert "substitutions" in text
    assert "clean" in text


def test_scores_follow_the_answers(folder: Callable[[str], Path], run_cli: Run) -> None:
    bad = folder("bad")
    run_cli("eval", "score", bad)
    before = (bad / "scores.json").read_text()
    (bad / "answers.sqlite").unlink()
    cache = ContentCache(bad / "answers.sqlite")
    sample = Sample("0", "made", "clean", "asr", Path("x.wav"), "?", RIGHT[0], "en")
    cache.put({"bad 0": to_json(Answered(sample, "the cat sat"))})
    cache.close()
    code, out, _ = run_cli("eval", "score", bad)
    assert code == 0
    assert "0.00" in out
    assert (bad / "scores.json").read_text() != before


def test_a_report_scores_what_is_not_scored(folder: Callable[[str], Path], run_cli: Run) -> None:
    good, bad = folder("good"), folder("bad")
    code, out, err = run_cli("eval", "report", bad, "--against", good, "--players-mb", "0")
    assert (code, err) == (0, "")
    assert out.splitlines() == [str(bad / f"report.{kind}") for kind in ("html", "md", "json")]
    assert "good (tiny, native)" in (bad / "report.md").read_text()
    assert "good (tiny, native)" in (bad / "report.html").read_text()


def test_a_condition_that_is_met_exits_with_1(folder: Callable[[str], Path], run_cli: Run) -> None:
    bad, good = folder("bad"), folder("good")
    code, out, err = run_cli("eval", "report", bad, "--fail-if", "wer>33", "--fail-if", "wer<1")
    assert (code, err) == (1, "auricle: clean: wer 33.33 % meets 'wer>33'\n")
    assert "report.html" in out  # the report is there to be read
    assert run_cli("eval", "report", bad, "--fail-if", "wer>34")[0] == 0
    assert run_cli("eval", "score", good, "--fail-if", "wer>0")[0] == 0
    assert run_cli("eval", "score", good, "--fail-if", "wer>0", "--mode", "strict")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--fail-if", "wer"), "is no condition"),
        (("--fail-if", "bleu>5"), "concerns no row"),
        (("--fail-if", "wer>other"), "give --against DIR of a run that does"),
        (("--worst", "-1"), "worst_per_row must not be negative"),
    ],
)
def test_mistakes_are_one_sentence(
    folder: Callable[[str], Path], run_cli: Run, arguments: tuple[str, ...], sentence: str
) -> None:
    code, _, err = run_cli("eval", "report", folder("good"), "--no-snr", *arguments)
    assert code == 2
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_what_is_no_run_is_said(folder: Callable[[str], Path], run_cli: Run, tmp_path: Path) -> None:
    code, _, err = run_cli("eval", "score", tmp_path / "nowhere")
    assert code == 2
    assert "holds no run" in err
    good = folder("good")
    code, _, err = run_cli("eval", "score", good, "--against", good)
    assert code == 2
    assert "is the run itself" in err
    (good / "answers.sqlite").unlink()
    code, _, err = run_cli("eval", "score", good)
    assert code == 2
    assert "has no answers yet" in err


def test_a_run_of_other_samples_is_no_silent_comparison(folder: Callable[[str], Path], run_cli: Run) -> None:
    good, bad = folder("good"), folder("bad")
    run = RunFolder(bad)
    (bad / "run.json").unlink()
    begin(bad, INFO, [replace(sample, source="another") for sample in run.samples], run.keys)
    code, _, err = run_cli("eval", "score", good, "--against", bad, "--no-snr")
    assert (code, err) == (0, f"auricle: --against {bad} has nothing that can be compared with {good}\n")


def _leave(folder: Path, *keys: str) -> None:
    """Only these answers are there."""
    cache = ContentCache(folder / "answers.sqlite")
    kept = cache.get(keys)
    cache.close()
    (folder / "answers.sqlite").unlink()
    cache = ContentCache(folder / "answers.sqlite")
    cache.put(kept)
    cache.close()


def test_answers_that_are_missing_are_told_everywhere_and_pass_no_gate(
    folder: Callable[[str], Path], run_cli: Run
) -> None:
    good = folder("good")
    _leave(good, "good 0", "good 1")
    code, out, err = run_cli("eval", "score", good)
    assert (code, err) == (0, "auricle: 1 of 3 samples have no answer yet: start `auricle eval run` again\n")
    assert "1 of 3 samples has no answer yet" in out
    code, out, err = run_cli("eval", "report", good, "--fail-if", "wer>90")
    assert code == 1
    assert "auricle: clean: 1 of 3 samples have no answer yet, so 'wer>90' cannot be ruled out" in err.splitlines()
    for kind in ("html", "md"):
        assert "A part only: 1 sample has no answer yet" in (good / f"report.{kind}").read_text()
    for found in (
        json.loads((good / "report.json").read_text()),
        json.loads(run_cli("eval", "score", good, "--json")[1]),
    ):
        assert found["num_missing"] == 1
        assert [row["num_missing"] for row in found["rows"]] == [1, 1]


def test_a_row_that_was_not_reached_yet_is_shown_and_passes_no_gate(
    folder: Callable[[str], Path], run_cli: Run
) -> None:
    good = folder("good")
    run = RunFolder(good)
    (good / "run.json").unlink()
    begin(good, INFO, [*run.samples[:2], replace(run.samples[2], source="later")], run.keys)
    _leave(good, "good 0", "good 1")
    code, out, err = run_cli("eval", "score", good)
    assert (code, len(err.splitlines())) == (0, 1), err
    assert any(re.match(r"later +0 .*– \(– to –\)", line) for line in out.splitlines())
    assert run_cli("eval", "report", good, "--fail-if", "clean.wer>90")[0] == 0
    for condition in ("wer>90", "later.cer>90", "later.wer>other"):
        code, _, err = run_cli("eval", "report", good, "--fail-if", condition)
        assert code == 1
        assert f"later: 1 of 1 samples have no answer yet, so '{condition}' cannot be ruled out" in err


@pytest.mark.parametrize("width", [None, 80, 50])
def test_the_table_is_whole_in_a_pipe_and_in_a_narrow_terminal(
    width: int | None, tmp_path: Path, recordings: list[Path], run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"librispeech_{part}_{which}" for part in ("dev", "test") for which in ("clean", "other")]
    samples = [
        Sample(str(place), "librispeech", name, "asr", recordings[place % 3], "?", "a bird sang", "en", speaker="s")
        for place, name in enumerate(names)
    ]
    for run_name in ("this", "other"):
        (tmp_path / run_name).mkdir()
        cache = ContentCache(begin(tmp_path / run_name, INFO, samples, names).answers)
        said = "a bird" if run_name == "this" else "a bird sang"
        cache.put({name: to_json(Answered(sample, said)) for name, sample in zip(names, samples, strict=True)})
        cache.close()
    if width is not None:
        monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes this for a terminal
    monkeypatch.setenv("COLUMNS", str(width or 40))  # of which a pipe has no need
    code, out, _ = run_cli("eval", "score", tmp_path / "this", "--against", tmp_path / "other", "--no-snr")
    assert code == 0
    lines = [re.sub("\x1b\\[[0-9;]*m", "", line).rstrip() for line in out.splitlines()]
    for name in names:
        [line] = [line for line in lines if line.startswith(f"{name} ")]
        assert "33.33" in line
        assert "+33.33" in line
        if width is None:
            assert re.search(r"33\.33 \(.* to .*\) .* \+33\.33 \(.* to .*\) = +1\.000 +\d,\d,\d$", line)
        elif width == 80:
            assert all(len(line) <= width for line in lines)
    assert "difference: this run minus other (tiny, native), scored the official way" in " ".join(lines)
    assert any(re.match(r"\d +one speaker: the interval resamples", line) for line in lines)
