"""What the page says, read without a browser."""

import json
import re
from pathlib import Path

import made_scores
import pytest
from html_tables import Element, read_page

from auricle.errors import UserError
from auricle.evaluate.report import ReportSettings, write_report

Report = tuple[Path, Path, Path]


@pytest.fixture(scope="module")
def page(report: Report) -> Element:
    return read_page(report[0].read_text(encoding="utf-8"))


def _line(page: Element, mode: str, name: str) -> list[str]:
    """The cells of a row in the table of figures."""
    rows = [
        row
        for section in page.all("section", id="figures")
        for row in section.all("tr")
        if row.within(mode) and row.all("th", data_value=name)
    ]
    assert len(rows) == 1
    return [cell.text for cell in rows[0].all("td")]


def _cards(page: Element, mode: str = "official") -> dict[str, Element]:
    cards = [card for card in page.all("li", class_="card") if card.within(mode)]
    return {card.all("span", class_="id")[0].text.rpartition(" / ")[2]: card for card in cards}


def test_a_row_stands_beside_the_published_figures(page: Element):
    assert _line(page, "official", "librispeech_dev_clean") == [
        "2,694",
        "5.40",
        "1.68 1.52 to 1.84",
        "librispeech_dev_clean: 1.68 %, 95 % interval 1.52 to 1.84 Official: 1.7Transformers: 1.68vLLM: 2.24",
        "1.7≈inside our interval",
        "1.68≈inside our interval",
        "2.24▲ours is better",
        "3.00",
        "1.00",
        "2.00",
        "0.50",
        "3",
        "1",
        "2",
        "0",
    ]
    assert _line(page, "official", "meld")[2] == "0.5500 0.5400 to 0.5600"
    assert _line(page, "official", "meld")[4:8] == [
        "0.535▲ours is better",
        "0.541≈inside our interval",
        "0.548≈inside our interval",
        "0.4000",
    ]
    assert _line(page, "official", "covost2_en_zh")[4:7] == [
        "45.6▼ours is worse",
        "45.5≈inside our interval",
        "45.6▼ours is worse",
    ]


def test_the_strict_mode_has_its_own_figures(page: Element):
    assert _line(page, "strict", "librispeech_dev_clean")[2] == "11.68 11.52 to 11.84"
    assert _line(page, "strict", "librispeech_dev_clean")[4] == "1.7▼ours is worse"
    switches = page.all("input", name="mode")
    assert [(switch.attributes["value"], "checked" in switch.attributes) for switch in switches] == [
        ("official", True),
        ("strict", False),
    ]


def test_a_row_that_was_never_published_stands_in_a_table_without_them(page: Element):
    assert _line(page, "official", "own_words") == [
        "8",
        "0.01",
        "50.00 40.00 to 60.00",
        "own_words: 50.00 %, 95 % interval 40.00 to 60.00",
        "3.00",
        "1.00",
        "2.00",
        "0",
    ]


def test_charts_show_published_rows_by_their_distance_from_official(page: Element):
    def places(name: str) -> list[float]:
        row = next(r for r in page.all("tr") if r.within("official") and r.all("th", data_value=name) and r.all("svg"))
        bar = row.all("rect", class_="interval")[0].attributes
        marks = [float(mark.all("line")[0].attributes["x1"]) for mark in row.all("g", class_="mark")]
        return [float(bar["x"]), float(bar["x"]) + float(bar["width"]), *marks]

    low, high, official, transformers, vllm = places("librispeech_dev_clean")
    assert low < transformers < official < high < vllm
    # 1.52, 1.84 and 2.24 are -10.6 %, 8.2 % and 31.8 % from 1.7
    assert (vllm - official) / (official - low) == pytest.approx((2.24 - 1.7) / (1.7 - 1.52), rel=0.01)
    ticks = page.all("section", id="figures")[0].all("svg", class_="axis")[0].all("text")
    tens = {tick.text: float(tick.attributes["x"]) for tick in ticks}
    assert (vllm - tens["0"]) / (tens["10"] - tens["0"]) == pytest.approx(3.176, rel=0.02)
    assert len(places("own_words")) == 2  # no published value, no mark


def test_the_verdicts_are_counted_in_a_sentence(page: Element):
    sentences = [p.text for p in page.all("p", class_="headline") if p.within("official")]
    # LibriSpeech 2 inside and 1 better, CoVoST2 1 inside and 2 worse, MELD 2 inside and 1 better, AIR-Bench 1 worse
    assert sentences == [
        "Of 10 published figures, 5 lie inside our 95 % interval; ours is better than 2 and worse than 3."
    ]


def test_the_header_says_what_the_run_was(page: Element):
    header = page.all("header")[0].text
    for words in (
        "Some-Model",
        "organisation/Some-Model",
        "ab12" * 16,
        "native",
        "float32",
        "raw form of the base model",
        "greedy, at most 256 new tokens",
        "2026-11-22 19:00 UTC",
        "2 cores",
        "auricle 0.1.0, torch 2.13.0",
        "12.0",  # 7200 s of audio in 600 s
        "A remark with <b>signs</b>.",
    ):
        assert words in header


def test_remarks_are_footnotes_said_once(page: Element):
    notes = [note.text for note in page.all("ol", class_="notes")[0].all("li")]
    assert notes == ["a remark on the row", "one speaker only"]
    own = next(row for row in page.all("tr") if row.all("th", data_value="own_words"))
    assert [link.text for link in own.all("sup")] == ["1", "2"]


def test_slices_and_confusions(page: Element):
    detail = page.all("details", id="official-librispeech_dev_clean")[0]
    parts = [[cell.text for cell in (*row.all("th"), *row.all("td"))] for row in detail.all("tr")]
    assert ["under 2 s", "100", "under 2 s: 3.00 %, 95 % interval 2.00 to 4.00", "3.00", "2.00 to 4.00"] in parts
    assert ["s2", "50", "", "–", "– to –"] in parts
    matrix = page.all("details", id="official-meld")[0].all("table", class_="confusions")[0]
    assert [cell.text for cell in matrix.all("thead")[0].all("th")] == ["anger", "joy", "(unparsed)"]
    lines = [[cell.text for cell in (*row.all("th"), *row.all("td"))] for row in matrix.all("tbody")[0].all("tr")]
    assert lines == [["anger", "50", "", "7"], ["joy", "10", "30", ""]]
    assert "--share:0.250" in matrix.all("td", class_="wrong")[2].attributes["style"]


def test_another_run_is_compared_with_holms_correction(page: Element):
    section = page.all("section", id="compared")[0]
    rows = [[cell.text for cell in row.all("td")] for row in section.all("tr") if row.within("official")]
    figures = [row[:2] + row[3:] for row in rows if row]
    assert figures == [
        ["2,600", "−1.00 −1.50 to −0.50", "0.010", "0.030", "▲ better"],
        ["8", "+2.00 −1.00 to +5.00", "0.400", "0.400", "≈ not told apart"],
        ["9", "−3.00 −5.00 to −1.00", "0.040", "0.080", "≈ not told apart"],  # once corrected
    ]


def test_the_worst_answers_are_listed_worst_first_without_the_right_ones(page: Element):
    assert list(_cards(page)) == ["runs", "nasty", "empty", "gone", "arabic", "small", "w1", "m1"]


def test_differences_are_marked_by_more_than_colour(page: Element):
    small = _cards(page)["small"].all("p", class_="aligned")[0]
    assert [(d.text, i.text) for d, i in zip(small.all("del"), small.all("ins"), strict=True)] == [("b", "x")]
    runs = _cards(page)["runs"].all("span", class_="insert")
    assert [place.text for place in runs] == ["+ thank you × 5"]
    empty = _cards(page)["empty"]
    assert [place.text for place in empty.all("span", class_="delete")] == ["hello –", "there –"]
    assert [flag.text for flag in empty.all("span", class_="flag")] == ["empty"]
    assert _cards(page)["arabic"].all("p", class_="aligned")[0].attributes["dir"] == "auto"
    assert "tight" in _cards(page)["w1"].all("p", class_="aligned")[0].attributes["class"].split()


def test_a_label_is_shown_as_it_was_said(page: Element):
    card = _cards(page)["m1"]
    assert not card.all("p", class_="aligned")
    assert [text.text for text in card.all("dd")] == ["Say it: <|en|>", "joy", "anger"]


def test_nothing_an_answer_says_becomes_markup(report: Report, page: Element):
    nasty = _cards(page)["nasty"]
    assert made_scores.NASTY in [text.text for text in nasty.all("dd")]
    assert not page.all("img")
    assert len(page.all("script")) == 2
    assert not [
        e for tag in ("a", "p", "span", "li") for e in page.all(tag) if any(k.startswith("on") for k in e.attributes)
    ]


def test_nothing_comes_from_elsewhere(report: Report, page: Element):
    text = report[0].read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href)=[\"']?(?:https?:)?//", text)
    assert "@import" not in text
    assert "url(" not in text
    policy = page.all("meta", http_equiv="Content-Security-Policy")[0].attributes["content"]
    assert policy.startswith("default-src 'none'; ")


def test_sounds_are_there_once_for_both_modes(page: Element):
    sounds = json.loads("".join(page.all("script", id="sounds")[0].children))  # type: ignore[arg-type]
    assert len(sounds) == 3
    official, strict = _cards(page), _cards(page, "strict")
    keys = {
        name: [player.attributes["data-recording"] for player in card.all("div", class_="player")]
        for name, card in official.items()
    }
    assert keys == {
        name: [p.attributes["data-recording"] for p in card.all("div", class_="player")]
        for name, card in strict.items()
    }
    assert keys["gone"] == []
    assert "missing.wav" in official["gone"].all("p", class_="silent")[0].text
    assert {key for key_of in keys.values() for key in key_of} == set(sounds)
    assert "(cut)" in official["runs"].text  # 4 s in a player of 3 s
    assert "(cut)" not in official["small"].text


def test_settings_bound_the_answers_and_the_sound(tmp_path: Path, recordings: list[Path]):
    scores, rows = made_scores.scores(recordings), made_scores.ROWS_BY_NAME
    path, _, _ = write_report(tmp_path, made_scores.INFO, scores, rows, ReportSettings(worst_per_row=2, players_mb=0))
    page = read_page(path.read_text(encoding="utf-8"))
    assert list(_cards(page)) == ["runs", "nasty", "w1", "m1"]
    assert not page.all("div", class_="player")
    assert "not embedded" in _cards(page)["runs"].text


def test_one_mode_needs_no_switch(tmp_path: Path, recordings: list[Path]):
    scores = [row for row in made_scores.scores(recordings) if row.mode == "strict"]
    path, _, _ = write_report(tmp_path, made_scores.INFO, scores, {}, ReportSettings())
    page = read_page(path.read_text(encoding="utf-8"))
    assert not page.all("input", name="mode")
    assert not page.all("p", class_="headline")
    assert "Official" not in [heading.text for heading in page.all("th")]  # no row was published: no empty columns


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"worst_per_row": -1}, "worst_per_row must not be negative: got -1"),
        ({"players_mb": -0.5}, "players_mb must not be negative: got -0.5"),
        ({"player_s": 0.0}, "player_s must be above 0: got 0.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float], sentence: str):
    with pytest.raises(UserError, match=re.escape(sentence)):
        ReportSettings(**settings)  # type: ignore[arg-type]


def test_a_report_of_nothing_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="a report of no rows"):
        write_report(tmp_path, made_scores.INFO, [], {}, ReportSettings())


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path, recordings: list[Path]):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="the report cannot be written to"):
        write_report(tmp_path / "file", made_scores.INFO, made_scores.scores(recordings), {}, ReportSettings())
