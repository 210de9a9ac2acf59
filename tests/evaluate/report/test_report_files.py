"""The Markdown and the JSON of a report."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_scores
import pytest
from html_tables import read_page

from auricle.conversation import Sampling
from auricle.evaluate.flags import FLAGS, count_name
from auricle.evaluate.report import ReportSettings, write_report
from auricle.evaluate.report.build import sampling_words
from auricle.evaluate.scores import Comparison, Figure, RowScores
from auricle.metrics.counts import Interval

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


def _clean(recordings: list[Path], **changes: Any) -> RowScores:
    return replace(made_scores.scores(recordings)[0], **changes)


def _with_clusters(num_clusters: int) -> tuple[Figure, ...]:
    return (Figure("wer", Interval(0.0168, 0.0152, 0.0184, num_clusters), primary=True),)


@pytest.mark.parametrize(
    ("changes", "is_told"),
    [
        ({}, True),
        ({"num_missing": 1}, False),
        ({"remarks": ("one speaker", "a part: at most 9 samples of each source were asked (--limit)")}, False),
        ({"remarks": ("one speaker", "it took a part: of the day")}, True),
        ({"figures": _with_clusters(4)}, False),
        ({"figures": _with_clusters(5)}, True),
    ],
)
def test_a_part_or_a_few_speakers_prove_nothing_about_the_published_figure(
    tmp_path: Path, recordings: list[Path], changes: dict[str, Any], is_told: bool
):
    row = _clean(recordings, **changes)
    paths = write_report(tmp_path, made_scores.INFO, [row], made_scores.ROWS_BY_NAME, ReportSettings(players_mb=0))
    page, lines, found = (path.read_text(encoding="utf-8") for path in paths)
    published = json.loads(found)["rows"][0]["published"]
    assert [published[kind]["value"] for kind in ("official", "transformers", "vllm")] == [0.017, 0.0168, 0.0224]
    verdicts = [published[kind]["verdict"] for kind in ("official", "transformers", "vllm")]
    assert verdicts == (["inside", "inside", "better"] if is_told else [None] * 3)
    assert ("| 1.7 ≈ | 1.68 ≈ | 2.24 ▲ |" if is_told else "| 1.7 | 1.68 | 2.24 |") in lines
    assert ("Of 3 published figures, 2 lie inside" in lines) == is_told
    for text in (page, lines):  # the legend says why a sign may be missing
        assert "fewer than 5 to resample" in text


def test_missing_answers_are_told_first(tmp_path: Path, recordings: list[Path]):
    row = _clean(recordings, num_missing=1200)
    paths = write_report(tmp_path, made_scores.INFO, [row], {}, ReportSettings(players_mb=0), num_missing=1234)
    page, lines, found = (path.read_text(encoding="utf-8") for path in paths)
    sentence = "A part only: 1,234 samples have no answer yet; start `auricle eval run` again."
    assert sentence in page
    assert page.index(sentence) < page.index("A remark with")
    assert sentence.replace("`", r"\`") in lines
    assert (json.loads(found)["num_missing"], json.loads(found)["rows"][0]["num_missing"]) == (1234, 1200)


def test_a_row_that_is_the_mean_of_others_has_no_answers_of_its_own(tmp_path: Path):
    judge = (Figure("judge", Interval(6.5, 6.0, 6.8, 40), primary=True),)
    parts = [("speech_and_sound", 40, 3600.0), ("speech_and_music", 60, 7200.0), ("mixed", 100, 10800.0)]
    scores = [RowScores(f"airbench_{name}", "official", *rest, judge, (), "utterance") for name, *rest in parts]
    _, markdown, _ = write_report(tmp_path, made_scores.INFO, scores, made_scores.ROWS_BY_NAME, ReportSettings())
    lines = markdown.read_text(encoding="utf-8").splitlines()
    assert {"- **rows**: 3", "- **answers**: 100", "- **hours of audio**: 3.0"} <= set(lines)


def test_an_undefined_difference_is_a_dash(tmp_path: Path, recordings: list[Path]):
    undefined = Comparison("runs/other", "wer", 9, Interval(math.nan, math.nan, math.nan, 0), math.nan)
    row = _clean(recordings, comparisons=(undefined,))
    page, markdown, found = write_report(tmp_path, made_scores.INFO, [row], {}, ReportSettings(players_mb=0))
    [compared] = read_page(page.read_text(encoding="utf-8")).all("table", class_="compared")
    assert [cell.text for cell in compared.all("td")] == ["9", "– – to –", "", "–", "–", ""]  # no verdict
    assert "| librispeech_dev_clean | 9 | **–** | – to – | – | – |" in markdown.read_text(encoding="utf-8")
    assert json.loads(found.read_text(encoding="utf-8"))["rows"][0]["comparisons"][0]["p_holm"] is None


def test_a_report_that_is_killed_leaves_the_one_before(
    tmp_path: Path, recordings: list[Path], monkeypatch: pytest.MonkeyPatch
):
    rows, settings = made_scores.scores(recordings), ReportSettings(players_mb=0)
    paths = write_report(tmp_path, made_scores.INFO, rows, {}, settings)
    before = [path.read_bytes() for path in paths]

    def killed(self: Path, *arguments: object, **settings: object) -> None:
        with self.open("wb") as file:
            file.write(b"<!doctype")
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", killed)
    monkeypatch.setattr(Path, "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        write_report(tmp_path, made_scores.info(model="another"), rows, {}, settings)
    monkeypatch.undo()
    assert [path.read_bytes() for path in paths] == before


def test_every_flag_has_its_column_and_its_filter(tmp_path: Path, recordings: list[Path]):
    row = _clean(recordings, counts=tuple((count_name(flag), 7) for flag in FLAGS))
    page, markdown, _ = write_report(tmp_path, made_scores.INFO, [row], {}, ReportSettings(players_mb=0))
    assert f"| {' | '.join(FLAGS)} |" in markdown.read_text(encoding="utf-8")
    [select] = read_page(page.read_text(encoding="utf-8")).all("select", name="flag")
    assert [option.text for option in select.all("option")] == ["any or none", *FLAGS]


def test_a_run_that_took_no_time_claims_no_speed(tmp_path: Path, recordings: list[Path]):
    info = made_scores.info(took_s=0.0)
    _, markdown, json_path = write_report(tmp_path, info, made_scores.scores(recordings), {}, ReportSettings())
    assert json.loads(json_path.read_text(encoding="utf-8"))["run"]["audio_s_per_s"] is None
    assert "per second" not in markdown.read_text(encoding="utf-8")
