"""A row's figure from the judge's scores: both positions, failures by mode, the mixed row as a mean of two."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.evaluate.judge import Judged, Scores
from auricle.evaluate.judge_scores import judge_scores
from auricle.evaluate.judged_file import Judgement
from auricle.evaluate.sample import Answered, Sample
from auricle.evaluate.score import Beside, Other
from auricle.evaluate.scores import RowScores

given_scores = st.none() | st.builds(Scores, st.integers(1, 10), st.integers(1, 10))
SOURCES = ("speech_QA", "speech_dialogue_QA", "speech_and_sound_QA", "speech_and_music_QA", "music_QA")


def judged(after: Scores | None, before: Scores | None, source: str = "speech_QA", text: str = "two women") -> Judged:
    sample = Sample("1", "airbench", source, "chat", Path("a.wav"), "How many?", "two of them", duration_s=2.0)
    return Judged(Answered(sample, text), after, before)


def rows(items: Sequence[Judged]) -> dict[tuple[str, str], RowScores]:
    return by_name(judge_scores(Judgement("judge-1", 0.0, tuple(items)), Beside()))


def by_name(found: Sequence[RowScores]) -> dict[tuple[str, str], RowScores]:
    return {(row.row, row.mode): row for row in found}


def value(row: RowScores) -> float:
    assert row.primary.name == "judge"
    return row.primary.interval.value


def test_the_score_is_the_mean_over_both_positions():
    found = rows([judged(Scores(9, 4), Scores(8, 5)), judged(Scores(9, 6), Scores(8, 8), "speech_dialogue_QA")])
    row = found["airbench_speech", "official"]
    assert value(row) == value(found["airbench_speech", "strict"]) == (4 + 6 + 5 + 8) / 4
    assert row.num_samples == 2
    assert row.audio_s == 4.0
    assert "the references themselves get 8.50 from this judge" in row.remarks
    assert [round(scored.error, 3) for scored in row.answers] == [round((10 - 4.5) / 9, 3), round(3 / 9, 3)]


def test_official_leaves_failures_out_and_strict_counts_the_lowest_score():
    found = rows([judged(Scores(9, 6), None), judged(Scores(9, 8), Scores(9, 4)), judged(None, None, text="")])
    official, strict = found["airbench_speech", "official"], found["airbench_speech", "strict"]
    assert value(official) == ((6 + 8) / 2 + 4) / 2  # by position, as the published script
    assert value(strict) == ((6 + 8 + 1) / 3 + (1 + 4 + 1) / 3) / 2
    assert dict(official.counts) == {"empty": 1, "runaway": 0, "cut_off": 0, "failed": 0, "unparsed": 2}
    assert any(remark.startswith("3 of the judge's 6 replies") and "left out" in remark for remark in official.remarks)
    assert any(remark.endswith("count as 1, the lowest") for remark in strict.remarks)
    assert [scored.flags for scored in official.answers] == [("unparsed",), (), ("empty", "unparsed")]
    assert official.answers[2].error == 1


def test_the_mixed_row_is_the_mean_of_its_two_rows_however_many_each_has():
    sound = [judged(Scores(9, 2), Scores(9, 2), SOURCES[2])] * 10
    music = [judged(Scores(9, 8), Scores(9, 8), SOURCES[3])] * 5
    found = rows([*sound, *music])
    assert value(found["airbench_speech_and_sound", "official"]) == 2
    assert value(found["airbench_speech_and_music", "official"]) == 8
    mixed = found["airbench_mixed", "official"]
    assert value(mixed) == 5  # the pool's would be 4
    assert mixed.num_samples == 15
    assert (mixed.answers, mixed.slices) == ((), ())  # they stand in its two rows
    assert math.isnan(value(rows(sound)["airbench_mixed", "official"]))  # there is no mean of one of two


def test_slices_keep_their_own_scores():
    items = [judged(Scores(9, 4), Scores(9, 4))] * 5 + [judged(Scores(9, 8), None, "speech_dialogue_QA")] * 5
    row = rows(items)["airbench_speech", "strict"]
    slices = {part.part: part.figure.interval.value for part in row.slices if part.by == "source"}
    assert slices == {"speech_QA": 4, "speech_dialogue_QA": (8 + 1) / 2}


def naive(items: Sequence[Judged], mode: str) -> float:
    """The published arithmetic, position by position."""
    means = []
    for of_position in ([item.after for item in items], [item.before for item in items]):
        given = [scores.model for scores in of_position if scores is not None]
        given += [1] * (len(of_position) - len(given)) if mode == "strict" else []
        means.append(fmean(given) if given else math.nan)
    return fmean(means)


@given(st.lists(st.builds(judged, given_scores, given_scores, st.sampled_from(SOURCES)), min_size=1, max_size=12))
def test_every_row_follows_the_published_arithmetic(items: list[Judged]):
    buckets = {
        "airbench_speech": SOURCES[:2],
        "airbench_speech_and_sound": SOURCES[2:3],
        "airbench_speech_and_music": SOURCES[3:4],
        "airbench_music": SOURCES[4:],
    }
    found = rows(items)
    for (name, mode), row in found.items():
        if name != "airbench_mixed":
            of_row = [item for item in items if item.answered.sample.source in buckets[name]]
            assert value(row) == pytest.approx(naive(of_row, mode), nan_ok=True)
        elif len(parts := [found[part, mode] for part in list(buckets)[1:3] if (part, mode) in found]) == 2:
            assert value(row) == pytest.approx(fmean(map(value, parts)), nan_ok=True)
    for row in found.values():
        if row.mode == "strict" and not math.isnan(value(row)):
            interval = row.primary.interval
            assert 1 <= interval.value <= 10
            assert math.isnan(interval.low) or 1 <= interval.low <= interval.value <= interval.high <= 10


def numbered(scores: Sequence[int], source: str = "speech_QA") -> list[Judged]:
    """One answer for each score, which it has in both positions."""
    found = []
    for number, score in enumerate(scores):
        one = judged(Scores(9, score), Scores(9, score), source)
        of = replace(one.answered.sample, id=str(number), speaker=f"speaker {number}")
        found.append(replace(one, answered=replace(one.answered, sample=of)))
    return found


def test_another_run_is_compared_where_the_same_judge_read_it():
    ours, theirs = numbered([8, 8, 9, 7, 8, 9, 8, 7, 9, 8]), numbered([4, 5, 4, 3, 4, 5, 4, 3, 4])[1:]
    other = Other("before", [item.answered for item in theirs], Judgement("judge-1", 0.0, tuple(theirs)))
    row = by_name(judge_scores(Judgement("judge-1", 0.0, tuple(ours)), Beside(other=other)))[
        "airbench_speech", "strict"
    ]
    [comparison] = row.comparisons
    assert (comparison.other, comparison.figure, comparison.num_samples) == ("before", "judge", 8)
    assert comparison.difference.value == pytest.approx(
        fmean([8, 9, 7, 8, 9, 8, 7, 9]) - fmean([5, 4, 3, 4, 5, 4, 3, 4])
    )
    assert comparison.p_value < 0.05


@pytest.mark.parametrize(
    ("judgement", "why"),
    [
        (None, "that run is judged by nobody, this one by judge-1 at temperature 0"),
        (Judgement("judge-2", 0.0, ()), "that run is judged by judge-2 at temperature 0, this one by judge-1 at"),
        (Judgement("judge-1", 1.0, ()), "that run is judged by judge-1 at temperature 1, this one by judge-1 at"),
        (Judgement("judge-1", 0.0, tuple(numbered([5], "music_QA"))), "none of these samples is judged there"),
    ],
)
def test_another_judge_is_no_comparison_and_the_row_says_so(judgement: Judgement | None, why: str):
    ours = Judgement("judge-1", 0.0, tuple(numbered([8, 7])))
    [row, _] = judge_scores(ours, Beside(other=Other("before", [], judgement)))
    assert row.comparisons == ()
    assert any(remark.startswith(f"no comparison with before: {why}") for remark in row.remarks)


def test_the_mixed_row_is_compared_as_the_mean_that_it_is():
    ours = [*numbered([8] * 6, SOURCES[2]), *numbered([6] * 3, SOURCES[3])]
    theirs = [*numbered([4] * 6, SOURCES[2]), *numbered([5] * 3, SOURCES[3])]
    other = Other("before", [], Judgement("judge-1", 0.0, tuple(theirs)))
    found = by_name(judge_scores(Judgement("judge-1", 0.0, tuple(ours)), Beside(other=other)))
    [comparison] = found["airbench_mixed", "official"].comparisons
    assert comparison.difference.value == pytest.approx((4 + 1) / 2)  # of the pool: 3


def test_what_is_not_judged_is_missing():
    items = numbered([8, 7, 6])
    asked = [item.answered.sample for item in items]
    music = replace(asked[0], source="music_QA")
    heard = replace(asked[0], source="clean", task="asr")  # no chat: no judge waits for it
    found = by_name(judge_scores(Judgement("judge-1", 0.0, tuple(items[:2])), Beside(asked=[*asked, music, heard])))
    assert {name for name, _ in found} == {"airbench_speech", "airbench_music"}
    row = found["airbench_speech", "official"]
    assert (row.num_samples, row.num_missing) == (2, 1)
    assert "1 of 3 samples has no judgement yet; start the run again, then judge it" in row.remarks
    waiting = found["airbench_music", "strict"]
    assert (waiting.num_samples, waiting.num_missing, waiting.primary.name) == (0, 1, "judge")
    assert math.isnan(value(waiting))
