"""A run's folder is scored by what it asked, not only by what it has answered."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from made_answers import one

from auricle.content_cache import ContentCache
from auricle.conversation import Sampling
from auricle.evaluate import folder_scores
from auricle.evaluate.folder_scores import ScoredRun, ScoreSettings, score_folder
from auricle.evaluate.processes import to_json
from auricle.evaluate.run_folder import begin
from auricle.evaluate.run_info import RunInfo
from auricle.evaluate.sample import Answered, Sample

INFO = RunInfo("tiny", "0" * 64, "native", "float32", "raw", Sampling(), None, (), "here", "2026-11-22T20:00:00+00:00")
CLEAN = [
    Sample(str(number), "made", "clean", "asr", Path("0.wav"), "?", text, "en", duration_s=2.0)
    for number, text in enumerate(["a dog ran", "the cat sat", "A bird sang.", "Two cows stood."])
]
CHATS = [
    Sample(
        str(number),
        "airbench",
        "speech_QA",
        "chat",
        Path("1.wav"),
        "How many?",
        "two",
        details=(("meta_info", "Two."),),
    )
    for number in range(6)
]


def folder(path: Path, asked: Sequence[Sample], said: Mapping[Sample, str], info: RunInfo = INFO) -> Path:
    """A run of which only some is answered."""
    path.mkdir(exist_ok=True)
    keys = [f"key {place}" for place in range(len(asked))]
    run = begin(path, info, asked, keys)
    cache = ContentCache(run.answers)
    cache.put({key: to_json(Answered(one, said[one])) for key, one in zip(keys, asked, strict=True) if one in said})
    cache.close()
    return path


def judged(path: Path, scores: Sequence[int], *, name: str = "judge-1") -> None:
    lines = [
        {
            "source": "speech_QA",
            "id": str(number),
            "answer": "two",
            **dict.fromkeys(("after", "before"), scores_of(score)),
        }
        for number, score in enumerate(scores)
    ]
    (path / "judged.json").write_text(json.dumps({"name": name, "temperature": 0.0, "judged": lines}))


def scores_of(score: int) -> dict[str, int]:
    return {"reference": 9, "model": score}


def scored(path: Path, against: Path | None = None) -> ScoredRun:
    return score_folder(path, ScoreSettings(against, snr=False))


def test_a_killed_run_is_not_whole(tmp_path: Path) -> None:
    run = folder(tmp_path / "run", [*CLEAN, *CHATS], {CLEAN[0]: "a dog ran", CLEAN[1]: "the cat sat"})
    found = scored(run)
    row = one(found.scores, "clean")
    assert (row.num_samples, row.num_missing) == (2, 2)
    assert "airbench_speech" in found.rows  # asked, though nothing of it is answered
    assert repr(scored(run).scores) == repr(found.scores)  # read back
    # two more answers: nothing is missing, and nothing says so
    row = one(scored(folder(run, [*CLEAN, *CHATS], dict.fromkeys(CLEAN, "a"))).scores, "clean")
    assert (row.num_samples, row.num_missing) == (4, 0)
    assert not any("no answer yet" in remark for remark in row.remarks)


def test_more_samples_asked_are_other_scores(tmp_path: Path) -> None:
    said = {CLEAN[0]: "a dog ran"}
    run = folder(tmp_path / "run", CLEAN[:1], said)
    assert one(scored(run).scores, "clean").num_missing == 0
    assert one(scored(folder(run, CLEAN, said)).scores, "clean").num_missing == 3


def test_strict_scores_a_part_by_what_the_whole_writes_down(tmp_path: Path) -> None:
    said = {sample: sample.reference.title() for sample in CLEAN[:2]}  # capitals, which these references lack
    for name, asked, conventions, wrong in [
        ("asked", CLEAN, (), 1.0),
        ("limited", CLEAN[:2], (("clean", True, True),), 1.0),
        ("alone", CLEAN[:2], (), 0.0),
    ]:
        info = dataclasses.replace(INFO, conventions=conventions)
        found = scored(folder(tmp_path / name, asked, said, info))
        assert one(found.scores, "clean", "strict").primary.interval.value == wrong
        counts = "Case and punctuation count in clean." in found.reasons["strict"]
        assert counts == bool(wrong)


def test_judged_runs_are_compared(tmp_path: Path) -> None:
    ours, theirs = (folder(tmp_path / name, CHATS, dict.fromkeys(CHATS, "two")) for name in ("ours", "theirs"))
    judged(ours, [8, 9, 8, 9, 8, 9])
    row = one(scored(ours, theirs).scores, "airbench_speech")
    assert row.comparisons == ()
    assert any("that run is judged by nobody" in remark for remark in row.remarks)
    judged(theirs, [4, 5, 4, 5, 4, 5])  # judged since: the scores that were kept hold no more
    [comparison] = one(scored(ours, theirs).scores, "airbench_speech").comparisons
    assert (comparison.other, comparison.difference.value) == ("theirs (tiny, native)", pytest.approx(4))


def test_scores_that_hold_are_not_counted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = folder(tmp_path / "run", CLEAN, {CLEAN[0]: "a dog ran"})
    scored(run)
    monkeypatch.setattr(folder_scores, "score", None)
    scored(run)
    with pytest.raises(TypeError, match="not callable"):
        scored(folder(run, CLEAN, {CLEAN[1]: "the cat sat"}))


def test_a_folder_and_recordings_named_in_no_utf_8_are_scored(tmp_path: Path) -> None:
    named = os.fsdecode(b"caf\xe9")
    sample = dataclasses.replace(CLEAN[0], audio=tmp_path / f"{named}.wav", id=named)
    runs = [folder(tmp_path / f"{named} {part}", [sample], {sample: "a dog"}) for part in "ab"]
    found = score_folder(runs[0], ScoreSettings(runs[1]))
    assert one(found.scores, "clean").comparisons[0].num_samples == 1
    assert repr(score_folder(runs[0], ScoreSettings(runs[1])).scores) == repr(found.scores)
