"""Scores that are read back, and what makes them be counted again."""

import dataclasses
import json
import math
import os
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from made_answers import answered, labelled, one

from auricle.evaluate import scores_file
from auricle.evaluate.score import score
from auricle.evaluate.scores_file import fingerprint, read_scores, write_scores

TRANSCRIPTS = [
    answered("The cat sat.", "the cat sat", number=0, speaker="a"),
    answered("Yes.", "", number=1, speaker="b"),
    answered("Press on.", "", number=2, speaker="b", failure="no such file"),
]


def test_scores_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    # a duration that is not known, a figure that is undefined (no reference word), words with odd characters
    items = [*TRANSCRIPTS, labelled("joy", '\ufffd \u2028joy\n\0"', 7), answered("!", "?", number=9, source="marks")]
    scores = score(items)
    assert math.isnan(one(scores, "marks").primary.interval.value)
    write_scores(tmp_path, scores, "x")
    again = read_scores(tmp_path, items, "x")
    assert repr(again) == repr(scores)  # repr: NaN is not equal to itself
    assert read_scores(tmp_path, items, "y") is None
    assert read_scores(tmp_path / "nowhere", items, "x") is None
    whole = (tmp_path / "scores.json").read_text()
    (tmp_path / "scores.json").write_text(whole[: len(whole) // 2])
    assert read_scores(tmp_path, items, "x") is None


def test_scores_hold_for_these_answers_alone() -> None:
    made = fingerprint(TRANSCRIPTS)
    assert made == fingerprint(list(TRANSCRIPTS))
    assert made != fingerprint(TRANSCRIPTS[:-1])
    assert made != fingerprint([*TRANSCRIPTS[:-1], dataclasses.replace(TRANSCRIPTS[-1], text="press on")])
    assert made != fingerprint(TRANSCRIPTS, "other")
    assert fingerprint(TRANSCRIPTS, "ab", "c") != fingerprint(TRANSCRIPTS, "a", "bc")


@pytest.mark.parametrize("library", ["auricle", "whisper-normalizer", "sacrebleu", "zhconv", "rapidfuzz"])
def test_other_rules_are_other_scores(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, version = fingerprint(TRANSCRIPTS), scores_file.version
    monkeypatch.setattr(scores_file, "version", lambda name: "0.0.0" if name == library else version(name))
    newer = fingerprint(TRANSCRIPTS)

    def absent(name: str) -> str:
        if name == library:
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(scores_file, "version", absent)
    assert len({made, newer, fingerprint(TRANSCRIPTS)}) == 3


def test_a_mended_rule_makes_scores_be_counted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = fingerprint(TRANSCRIPTS)
    monkeypatch.setattr(scores_file, "_SCORING", scores_file._SCORING + 1)
    assert fingerprint(TRANSCRIPTS) != made


def test_names_and_texts_that_are_no_utf_8_are_kept(tmp_path: Path) -> None:
    audio = Path(os.fsdecode(b"caf\xe9.wav"))
    sample = dataclasses.replace(TRANSCRIPTS[0].sample, audio=audio, id=audio.stem, speaker=audio.stem)
    halves = [
        answered("中国", "中\ud800国", number=3, source=source, task=task, language=language, target_language="zh")
        for source, task, language in [
            ("a", "asr", "zh"),
            ("b", "asr", "yue"),
            ("c", "asr", "en"),
            ("d", "translation", "en"),
        ]
    ]
    item = dataclasses.replace(TRANSCRIPTS[0], sample=sample, text="the \ud800 cat")
    items = [item, *halves, labelled("joy", "\udfff", 4)]
    scores = score(items)
    made = fingerprint(items, audio.name)
    assert made != fingerprint(items, "caf.wav")
    write_scores(tmp_path, scores, made)
    assert repr(read_scores(tmp_path, items, made)) == repr(scores)
    assert json.loads((tmp_path / "scores.json").read_bytes().decode("ascii"))["made_from"] == made
