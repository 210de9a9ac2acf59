"""The Markdown and the JSON of a report."""

import json
from pathlib import Path
from typing import Any

import made_scores
import pytest

from auricle.conversation import Sampling
from auricle.evaluate.report import ReportSettings, write_report
from auricle.evaluate.report.build import sampling_words
from auricle.evaluate.scores import RowScores

Report = tuple[Path, Path, Path]


@pytest.fixture(scope="module")
def found(report: Report) -> dict[str, Any]:
    return json.loads(report[2].read_text(encoding="utf-8"))


def _row(found: dict[str, Any], row: str, mode: str = "official") -> dict[str, Any]:
    return next(item for item in found["rows"] if (item["row"], item["mode"]) == (row, mode))


def test_the_markdown_has_every_table(report: Report):
    lines = report[1].read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# Evaluation of Some-Model"
    assert (
        "| librispeech_dev_clean [1] | 2,694 | 5.40 | **1.68** | 1.52 to 1.84 | 1.7 ≈ | 1.68 ≈ | 2.24 ▲ "
        "| 3.00 | 1.00 | 2.00 | 0.50 | 3 | 1 | 2 | 0 |" in lines
    )
    assert "| librispeech_dev_clean | 2,600 | **−1.00** | −1.50 to −0.50 | 0.010 | 0.030 |" in lines
    assert "## Scored the strict way" in lines
    assert "- Keeps é apart from e." in lines
    assert "1. a remark on the row" in lines
    assert r"- A remark with \<b\>signs\</b\>." in lines


def test_every_line_of_a_markdown_table_has_as_many_cells_as_its_head(report: Report):
    block: list[str] = []
    num_tables = 0
    for line in [*report[1].read_text(encoding="utf-8").splitlines(), ""]:
        if line.startswith("|"):
            block.append(line)
        elif block:
            assert len({row.count(" | ") for row in block}) == 1
            num_tables, block = num_tables + 1, []
    assert num_tables == 2 * (5 + 1)  # four metrics, one of them in two parts, and a comparison, in two modes


def test_the_json_has_what_the_scores_had_in_fractions(found: dict[str, Any]):
    row = _row(found, "librispeech_dev_clean")
    assert row["figures"]["wer"] == {"value": 0.0168, "low": 0.0152, "high": 0.0184, "num_clusters": 40}
    assert row["primary"] == row["published_metric"] == "wer"
    assert row["published"] == {
        "official": {"value": 0.017, "verdict": "inside"},
        "transformers": {"value": 0.0168, "verdict": "inside"},
        "vllm": {"value": 0.0224, "verdict": "better"},
    }
    assert row["counts"]["substitutions"] == 30
    assert row["comparisons"][0]["p_holm"] == 0.03
    assert _row(found, "meld")["published"]["official"]["value"] == 0.535
    assert _row(found, "meld")["confusions"][1] == {"right": "joy", "answer": "anger", "count": 10}
    assert _row(found, "own_words")["published"] == {}
    assert found["run"]["audio_s_per_s"] == 12.0
    assert found["run"]["versions"] == {"auricle": "0.1.0", "torch": "2.13.0"}
    assert found["modes"] == {"official": ["Does as the scripts do."], "strict": ["Keeps é apart from e."]}


def test_what_is_undefined_is_null(found: dict[str, Any]):
    part = _row(found, "librispeech_dev_clean")["slices"][3]
    assert (part["part"], part["value"], part["low"]) == ("s2", None, None)


def test_the_json_lists_the_answers_of_the_page(found: dict[str, Any]):
    worst = _row(found, "librispeech_dev_clean")["worst"]
    assert [answer["id"] for answer in worst] == ["runs", "nasty", "empty", "gone", "arabic", "small"]
    assert worst[1]["answer"] == made_scores.NASTY
    assert worst[5]["normalised"] == {"reference": ["a", "b", "c", "d"], "answer": ["a", "x", "c", "d"]}
    assert worst[3]["failure"] == "cannot hear missing.wav"


def test_keys_are_those_that_the_docstring_promises(found: dict[str, Any]):
    from auricle.evaluate.report.json_report import json_report

    for item in [found, *found["rows"], *(answer for row in found["rows"] for answer in row["worst"])]:
        for key in item:
            assert f"`{key}`" in (json_report.__doc__ or ""), key


def test_a_surrogate_in_a_reference_breaks_nothing(tmp_path: Path, recordings: list[Path]):
    row = made_scores.scores(recordings)[1]
    scored = made_scores._scored("half", recordings[0], "asr", "own_words", ("a\ud800b",), ("a",), 1.0)
    broken = RowScores(row.row, row.mode, 1, 1.0, row.figures, (), "utterance", answers=(scored,))
    paths = write_report(tmp_path, made_scores.INFO, [broken], {}, ReportSettings())
    assert all("half" in path.read_text(encoding="utf-8") for path in (paths[0], paths[2]))


@pytest.mark.parametrize(
    ("sampling", "words"),
    [
        (Sampling(), "greedy, at most 256 new tokens"),
        (Sampling(num_beams=4, max_new_tokens=9), "beam search, 4 beams, length penalty 1, at most 9 new tokens"),
        (
            Sampling(temperature=0.7, top_p=0.9, top_k=20, seed=3, repetition_penalty=1.1, stop=("\n",)),
            r"sampled, temperature 0.7, top k 20, top p 0.9, repetition penalty 1.1, seed 3, stops at '\n', "
            "at most 256 new tokens",
        ),
    ],
)
def test_sampling_in_words(sampling: Sampling, words: str):
    assert sampling_words(sampling) == words


def test_a_run_that_took_no_time_claims_no_speed(tmp_path: Path, recordings: list[Path]):
    info = made_scores.info(took_s=0.0)
    _, markdown, json_path = write_report(tmp_path, info, made_scores.scores(recordings), {}, ReportSettings())
    assert json.loads(json_path.read_text(encoding="utf-8"))["run"]["audio_s_per_s"] is None
    assert "per second" not in markdown.read_text(encoding="utf-8")
