"""Transcripts as files: read back by other people's parsers, whatever was said and however oddly it was cut."""

import html
import itertools
import json
import os
import unicodedata
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import srt
import webvtt
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import get_character_cell_size

from auricle.assistant.cues import Layout, cut_cues
from auricle.assistant.formats import FORMATS, Writer, render_format
from auricle.assistant.result import Result, Segment
from auricle.errors import UserError

HOUR = 3600.0


def segment(start_s: float, end_s: float, text: str) -> Segment:
    return Segment(start_s, end_s, text, -0.25, 7, 0.0, 1.5)


def result(*segments: Segment, path: str | None = "a/talk.wav") -> Result:
    text = " ".join(one.text for one in segments)
    return Result(path, text, 60.0, 14, "stop", "en", 0.875, tuple(segments))


def printed(text: str) -> str:
    """What is left of a text that may be laid out anew: no white space, no control characters."""
    return "".join(char for char in text if not char.isspace() and unicodedata.category(char) != "Cc")


ARROWS = st.sampled_from(["-->", "--->", "--", ">", "&", "<i>", "&amp;", "\n\n", "\r\n", "\t", "\x85", "\u2028", "\0"])
TEXTS = st.lists(st.text(max_size=60) | ARROWS | st.just("One. Two, three? "), max_size=8).map("".join)
SECONDS = st.one_of(st.just(0.0), st.floats(1e-6, 1e-2), st.floats(0, 40), st.floats(0, 200 * HOUR))
LAYOUTS = st.builds(Layout, st.integers(2, 60), st.integers(1, 4))


@st.composite
def transcripts(draw: st.DrawFn) -> Result:
    """Segments in order; now and then of no length, or overlapping."""
    time_s, segments = 0.0, []
    for text in draw(st.lists(TEXTS, max_size=5)):
        start_s = time_s + draw(SECONDS)
        time_s = start_s + draw(SECONDS)
        segments.append(segment(start_s, time_s + draw(st.sampled_from([0.0, 0.0, 0.0, 1.0])), text))
    return result(*segments)


def read_srt(text: str) -> list[tuple[int, int, str]]:
    cues = list(srt.parse(text))
    assert [cue.index for cue in cues] == list(range(1, len(cues) + 1))
    ms = timedelta(milliseconds=1)
    return [(cue.start // ms, cue.end // ms, cue.content) for cue in cues]


def read_vtt(text: str) -> list[tuple[int, int, str]]:
    captions = webvtt.from_string(text, strict=True).captions
    return [(vtt_ms(one.start), vtt_ms(one.end), html.unescape(one.raw_text)) for one in captions]


def vtt_ms(stamp: str) -> int:
    *hours, minutes, seconds = stamp.split(":")
    return round((int(hours[0] if hours else 0) * 3600 + int(minutes) * 60) * 1000 + float(seconds) * 1000)


READERS = {"srt": read_srt, "vtt": read_vtt}


@pytest.mark.parametrize("form", ["srt", "vtt"])
@given(transcripts(), LAYOUTS)
@example(result(segment(0, 0, "a"), segment(0, 0, "b"), segment(0, 30, "c" * 300)), Layout())
@example(result(segment(359_999.9999, 360_000.0001, "x --> y ---> z")), Layout())
def test_subtitles_hold_every_word_once_and_never_overlap(form: str, spoken: Result, layout: Layout):
    cues = READERS[form](render_format(spoken, form, layout))
    assert printed("".join(text for _, _, text in cues)) == "".join(without_arrows(one.text) for one in spoken.segments)
    ends = [0]
    for start, end, text in cues:
        assert ends[-1] <= start < end
        ends.append(end)
        assert "-->" not in text
        lines = text.split("\n")
        assert len(lines) <= layout.max_line_count
        for line in lines:
            assert line.strip() == line != ""
            assert sum(map(get_character_cell_size, line)) <= layout.max_line_width


def without_arrows(text: str) -> str:
    """`printed`, and every arrow as subtitles may hold it: `-->` is the mark between two times."""
    text = "".join(" " if unicodedata.category(char) == "Cc" else char for char in text)
    while "-->" in text:
        text = text.replace("-->", "->")
    return printed(text)


@given(transcripts(), LAYOUTS)
def test_long_segments_keep_their_cuts(spoken: Result, layout: Layout):
    """Where there is time for every cue, a segment's first cue starts and its last ends at the segment's own cuts."""
    apart = [segment(1000.0 * place + 0.0004, 1000.0 * place + 900.4996, one.text) for place, one in
             enumerate(spoken.segments)]  # fmt: skip
    cues = cut_cues(apart, layout)
    for place, one in enumerate(apart):
        own = [cue for cue in cues if 1_000_000 * place <= cue.start_ms < 1_000_000 * (place + 1)]
        if printed(one.text):
            assert (own[0].start_ms, own[-1].end_ms) == (1_000_000 * place, 1_000_000 * place + 900_500)
            assert all(before.end_ms == after.start_ms for before, after in itertools.pairwise(own))
        else:
            assert own == []


def test_times_are_shared_out_by_characters():
    sentences = ["One two three four five.", "Six seven eight nine ten eleven twelve.", "Done, and out of the door."]
    cues = cut_cues([segment(10, 19, " ".join(sentences))], Layout(40, 1))
    assert [cue.text for cue in cues] == sentences
    total, said = sum(map(len, sentences)), 0
    for cue, sentence in zip(cues, sentences, strict=True):
        assert cue.start_ms == 10_000 + round(9000 * said / total)
        said += len(sentence)
        assert cue.end_ms == 10_000 + round(9000 * said / total)


LONG_WORD = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"


@pytest.mark.parametrize(
    ("text", "layout", "expected"),
    [
        ("Short.", Layout(), ["Short."]),
        ("It was late. Nobody had come to the door, so we left.", Layout(44, 1),
         ["It was late.", "Nobody had come to the door, so we left."]),
        ("If nobody comes to the door, we will simply leave", Layout(30, 1),
         ["If nobody comes to the door,", "we will simply leave"]),
        ("No, the price is 3.14 today and nothing else", Layout(30, 1),
         ["No, the price is 3.14", "today and nothing else"]),
        ("one two three four five six ten", Layout(9, 2), ["one two\nthree", "four five\nsix ten"]),
        ("one two three", Layout(7, 2), ["one two\nthree"]),
        ("我们去公园散步。然后去吃午饭。", Layout(16, 1), ["我们去公园散步。", "然后去吃午饭。"]),
        ("我们去公园散步，", Layout(14, 2), ["我们去公园散\n步，"]),
        ("明日（あさって）", Layout(6, 4), ["明日\n（あさ\nって）"]),
        ("안녕하세요 저는 서울에서", Layout(18, 2), ["안녕하세요 저는\n서울에서"]),
        (LONG_WORD, Layout(20, 4), [f"{LONG_WORD[:20]}\n{LONG_WORD[20:40]}\n{LONG_WORD[40:60]}\n{LONG_WORD[60:]}"]),
        ("e\u0301" * 6, Layout(4, 2), ["e\u0301" * 4 + "\n" + "e\u0301" * 2]),
        ("か\u3099\u3099\u3099か", Layout(2, 1), ["か\u3099\u3099\u3099", "か"]),
        ("🚀👩\u200d🚀🚀", Layout(4, 1), ["🚀", "👩\u200d🚀", "🚀"]),
        ("abc 漢字漢字", Layout(10, 1), ["abc", "漢字漢字"]),
    ],
)  # fmt: skip
def test_where_texts_are_cut(text: str, layout: Layout, expected: list[str]):
    assert [cue.text for cue in cut_cues([segment(0, 30, text)], layout)] == expected


def test_a_transcript_of_an_hour_in_one_segment_is_cut_quickly():
    text = "And so it went on, hour after hour, without an end in sight. " * 800
    cues = cut_cues([segment(0, HOUR, text)], Layout())
    assert printed("".join(cue.text for cue in cues)) == printed(text)
    assert len(cues) == 800


def test_a_layout_without_room_is_refused():
    with pytest.raises(UserError, match="max_line_width must be at least 2: got 1"):
        Layout(max_line_width=1)
    with pytest.raises(UserError, match="max_line_count must be at least 1: got 0"):
        Layout(max_line_count=0)


TALK = result(
    segment(0.0, 1.5, " Hello <b>you</b> & me. "),
    segment(1.5, 2.0, " \n "),
    segment(2.0, 3600.0004, "tab\there\nand --> there"),
    segment(3661.0625, 400000.0, "Late."),
)
SRT = """\
1
00:00:00,000 --> 00:00:01,500
Hello <b>you</b> & me.

2
00:00:02,000 --> 01:00:00,000
tab here and -> there

3
01:01:01,062 --> 111:06:40,000
Late.

"""
VTT = """\
WEBVTT

00:00.000 --> 00:01.500
Hello &lt;b&gt;you&lt;/b&gt; &amp; me.

00:02.000 --> 01:00:00.000
tab here and -&gt; there

01:01:01.062 --> 111:06:40.000
Late.

"""


def test_each_format_as_whisper_writes_it():
    assert render_format(TALK, "srt") == SRT
    assert render_format(TALK, "vtt") == VTT
    assert render_format(TALK, "txt") == "Hello <b>you</b> & me.\ntab here and --> there\nLate.\n"
    assert render_format(TALK, "tsv") == (
        "start\tend\ttext\n"
        "0\t1500\tHello <b>you</b> & me.\n"
        "2000\t3600000\ttab here and --> there\n"
        "3661062\t400000000\tLate.\n"
    )


@given(transcripts())
def test_tsv_txt_and_json_round_trip(spoken: Result):
    voiced = [one for one in spoken.segments if printed(one.text)]
    header, *rows = render_format(spoken, "tsv").removesuffix("\n").split("\n")
    assert header == "start\tend\ttext"
    assert [printed(row.split("\t")[2]) for row in rows] == [printed(one.text) for one in voiced]
    times = [int(number) for row in rows for number in row.split("\t")[:2]]
    assert times == sorted(times)
    lines = render_format(spoken, "txt").split("\n")
    assert [printed(line) for line in lines[:-1]] == [printed(one.text) for one in voiced]
    assert lines[-1] == ""
    read = json.loads(render_format(spoken, "json"))
    assert [one["text"] for one in read["segments"]] == [one.text for one in spoken.segments]
    assert [one["id"] for one in read["segments"]] == list(range(len(spoken.segments)))
    for one, written in zip(spoken.segments, read["segments"], strict=True):
        assert written["start"] == pytest.approx(one.start_s, abs=6e-4)
        assert written["end"] == pytest.approx(one.end_s, abs=6e-4)


def test_json_has_whispers_names_and_ours():
    read = json.loads(render_format(result(segment(0.12345, 2.0, "Hello.")), "json"))
    [part] = read.pop("segments")
    assert read == {
        **{"text": "Hello.", "language": "en", "language_probability": 0.875, "duration": 60.0},
        **{"path": "a/talk.wav", "finish_reason": "stop"},
    }
    assert part == {
        **{"id": 0, "start": 0.123, "end": 2.0, "text": "Hello.", "temperature": 0.0},
        **{"avg_logprob": -0.25, "compression_ratio": 1.5, "no_speech_prob": None},
        "num_tokens": 7,
    }


def test_json_knows_no_infinity():
    odd = Segment(0.0, 1.0, "", float("-inf"), 0, 0.0, float("nan"))
    [part] = json.loads(render_format(result(odd), "json"), parse_constant=pytest.fail)["segments"]
    assert (part["avg_logprob"], part["compression_ratio"]) == (None, None)


@pytest.mark.parametrize("segments", [(), (segment(0, 30, ""),)], ids=["silence", "an empty segment"])
def test_nothing_said_makes_empty_files(segments: tuple[Segment, ...]):
    silent = result(*segments)
    written = {form: render_format(silent, form) for form in FORMATS}
    assert [written[form] for form in FORMATS[:-1]] == ["", "", "WEBVTT\n\n", "start\tend\ttext\n"]
    assert list(srt.parse(written["srt"])) == []
    assert len(webvtt.from_string(written["vtt"]).captions) == 0
    read = json.loads(written["json"])
    assert (read["text"], read["duration"], len(read["segments"])) == ("", 60.0, len(segments))


def test_json_says_how_sure_it_is_of_no_speech():
    spoken = replace(segment(0, 1, "Hello."), speech_probability=0.75)
    [part] = json.loads(render_format(result(spoken), "json"))["segments"]
    assert part["no_speech_prob"] == 0.25


def test_a_result_without_segments_is_one_from_end_to_end():
    answer = Result(None, "A dog barks.", 2.5, 3, "stop")
    assert render_format(answer, "txt") == "A dog barks.\n"
    assert render_format(answer, "tsv") == "start\tend\ttext\n0\t2500\tA dog barks.\n"
    assert json.loads(render_format(answer, "json"))["segments"] == []


def test_layout_reaches_both_subtitle_formats():
    spoken = result(segment(0, 30, "one two three four five six"))
    for form in ("srt", "vtt"):
        cues = READERS[form](render_format(spoken, form, Layout(5, 1)))
        assert [text for _, _, text in cues] == ["one", "two", "three", "four", "five", "six"]


@pytest.mark.parametrize("name", ["doc", "", "SRT", "all"])
def test_unknown_formats_are_refused(name: str, tmp_path: Path):
    if name != "all":
        with pytest.raises(UserError, match=r"unknown format .*: expected one of txt, srt, vtt, tsv, json, all"):
            Writer(tmp_path / "out", ["txt", name])
        assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match=r"unknown format .*: expected one of txt, srt, vtt, tsv, json"):
        render_format(TALK, name)


def test_one_file_per_format(tmp_path: Path):
    folder = tmp_path / "deep" / "er"
    paths = Writer(folder, "all").write(TALK)
    assert paths == [folder / f"talk.{form}" for form in FORMATS]
    assert sorted(folder.iterdir()) == sorted(paths)
    for path, form in zip(paths, FORMATS, strict=True):
        assert path.read_bytes() == render_format(TALK, form).encode()
    assert [path.suffix for path in Writer(folder, "vtt, srt,vtt").write(TALK)] == [".vtt", ".srt"]
    assert [path.suffix for path in Writer(folder, ("srt",), Layout(2, 1)).write(TALK)] == [".srt"]
    assert (folder / "talk.srt").read_text(encoding="utf-8") == render_format(TALK, "srt", Layout(2, 1))


def test_two_recordings_of_one_name_keep_both_transcripts(tmp_path: Path):
    names = ["a/x.wav", "b/x.mp3", "X.flac", "x-2.wav", "a/x.wav", "x.1.wav", None, None, "-", ".wav"]
    writer = Writer(tmp_path, "txt")
    written = [writer.write(result(segment(0, 1, str(place)), path=name)) for place, name in enumerate(names)]
    assert [path.name for [path] in written] == [
        *("x.txt", "x-2.txt", "X-3.txt", "x-2-2.txt", "x-4.txt", "x.1.txt"),
        *("recording.txt", "recording-2.txt", "stdin.txt", ".wav.txt"),
    ]
    assert [path.read_text() for [path] in written] == [f"{place}\n" for place in range(len(names))]


def test_a_later_run_replaces_its_files(tmp_path: Path):
    for text in ("long, long ago", "now"):
        [path] = Writer(tmp_path, "txt").write(result(segment(0, 1, text)))
    assert path.read_text() == "now\n"


def test_a_name_that_is_no_utf8_is_still_json(tmp_path: Path):
    name = os.fsdecode(b"caf\xe9.wav")
    [path] = Writer(tmp_path, "json").write(result(segment(0, 1, "Hé"), path=name))
    assert os.fsencode(path.name) == b"caf\xe9.json"
    assert json.loads(path.read_bytes())["path"] == name


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    writer = Writer(tmp_path, "txt")
    Writer(tmp_path, "txt").write(result(segment(0, 1, "old")))

    def full(self: Path, target: Path) -> None:
        assert self.read_text() == "new\n"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(
        UserError, match=r"cannot write .*talk\.txt: No space left on device; choose another --output-dir"
    ):
        writer.write(result(segment(0, 1, "new")))
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("talk.txt", "old\n")]


def test_places_that_hold_no_files_are_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file is not a directory; expected one for the transcripts"):
        Writer(tmp_path / "file", "txt")
    with pytest.raises(UserError, match=r"inner is not a directory"):
        Writer(tmp_path / "file" / "inner", "txt")
    with pytest.raises(UserError, match=r"cannot make the directory /proc/nowhere: .*; name another"):
        Writer("/proc/nowhere", "txt")
    (tmp_path / "talk.txt").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*talk\.txt: Is a directory"):
        Writer(tmp_path, "txt").write(TALK)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "talk.txt"]
