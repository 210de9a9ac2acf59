"""`eval score` and `eval report` on a run's folder, without any model."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from auricle.content_cache import ContentCache
from auricle.conversation import Sampling
from auricle.evaluate.processes import to_json
from auricle.evaluate.run_folder import begin
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
