"""What scoring takes into account beside the answers: what was asked, whole sources' conventions, another run."""

import dataclasses
import math

import pytest
from made_answers import answered, labelled, one, values

from auricle.evaluate.normalise import Strict, conventions_of
from auricle.evaluate.sample import Answered
from auricle.evaluate.score import Beside, Other, score


def test_another_run_is_compared_on_the_samples_of_both() -> None:
    ours = [answered("a dog ran home", "a dog ran", number=place, speaker=f"{place}") for place in range(12)]
    theirs = [answered("a dog ran home", "a dog", number=place, speaker=f"{place}") for place in range(3, 20)]
    row = one(score(ours, Beside(other=Other("before", theirs))), "asterisk_en")
    [comparison] = [found for found in row.comparisons if found.figure == "wer"]
    assert comparison.num_samples == 9
    assert comparison.difference.value == pytest.approx(1 / 4 - 2 / 4)
    assert comparison.p_value < 0.05
    changed = [dataclasses.replace(item, sample=dataclasses.replace(item.sample, reference="other")) for item in theirs]
    assert one(score(ours, Beside(other=Other("before", changed))), "asterisk_en").comparisons == ()


def test_another_run_may_allow_other_labels() -> None:
    """What else the other run's samples say, its labels and languages, is not what it is compared by."""
    ours = [labelled("joy", "joy" if place % 2 else "anger", place) for place in range(8)]
    theirs = [
        dataclasses.replace(item, text="rage", sample=dataclasses.replace(item.sample, labels=("joy", "rage")))
        for item in ours[:6]
    ]
    row = one(score(ours, Beside(other=Other("before", theirs))), "meld")
    differences = {found.figure: found.difference.value for found in row.comparisons}
    assert differences == {"accuracy": pytest.approx(0.5), "macro_f1": pytest.approx(2 * 3 / (6 + 3))}
    assert {found.num_samples for found in row.comparisons} == {6}


def test_another_run_may_share_nothing_but_characters() -> None:
    # a row of two languages has a character error rate; what both runs share is all Chinese, and has none
    ours = [
        answered("你好", "你好", number=0, source="mixed", language="zh"),
        answered("a", "a", number=1, source="mixed"),
    ]
    row = one(score(ours, Beside(other=Other("before", [dataclasses.replace(ours[0], text="好")]))), "mixed")
    assert list(values(row)) == ["wer", "cer"]
    assert [(found.figure, found.difference.value) for found in row.comparisons] == [("wer", -0.5)]


def test_another_runs_language_does_not_count() -> None:
    ours = [answered("l'homme dort", "l'homme dort", language="fr")]
    untagged = dataclasses.replace(ours[0].sample, language=None, source="asterisk_en", speaker="else")
    theirs = [dataclasses.replace(ours[0], sample=untagged, text="<|fr|>l'homme dort")]
    strict = one(score(ours, Beside(other=Other("before", theirs))), "asterisk_en", "strict")
    assert strict.comparisons[0].difference.value == 0  # the tag that the prompt gave, by our sample


def test_what_has_no_answer_yet_is_counted_and_said() -> None:
    items = [answered("a dog", "a dog", number=place) for place in range(60)]
    asked = [item.sample for item in items]
    for row in score(items[:20], Beside(asked=asked)):
        assert (row.num_samples, row.num_missing) == (20, 40)
        assert "40 of 60 samples have no answer yet, the shortest ones among them; start the run again" in row.remarks
    for row in [*score(items, Beside(asked=asked)), *score(items)]:
        assert row.num_missing == 0
        assert not any("no answer yet" in remark for remark in row.remarks)


def test_a_failure_is_an_answer_that_will_not_come() -> None:
    items = [answered("a dog", "", failure="no such file"), answered("a dog", "a dog", number=1)]
    assert one(score(items, Beside(asked=[item.sample for item in items])), "asterisk_en").num_missing == 0


def test_a_row_without_any_answer_is_there_and_undefined() -> None:
    """Or a killed run would leave whole rows out, and nobody would miss them."""
    there, missing = answered("a dog", "a dog"), labelled("joy", "joy", 0)
    chat = dataclasses.replace(missing.sample, source="speech_QA", task="chat")
    scores = score([there], Beside(asked=[there.sample, missing.sample, chat]))
    assert {row.row for row in scores} == {"asterisk_en", "meld"}  # the chats are for the judge
    row = one(scores, "meld")
    assert (row.num_samples, row.num_missing, row.primary.name, row.answers) == (0, 1, "accuracy", ())
    assert math.isnan(row.primary.interval.value)
    assert "none of the 1 samples has an answer yet; start the run again" in row.remarks


@pytest.mark.parametrize(
    "item",
    [
        answered("a dog", "a"),
        answered("你好", "你", source="fleurs_zh", language="zh"),
        answered("so", "so", source="x_en", task="translation", target_language="en"),
        labelled("joy", "joy", 0),
    ],
)
def test_a_row_without_any_answer_has_the_figures_that_it_will_have(item: Answered) -> None:
    before, after = score([], Beside(asked=[item.sample])), score([item])
    names = [
        [(row.row, row.mode, fig.name, fig.primary) for row in rows for fig in row.figures] for rows in (before, after)
    ]
    assert names[0] == names[1]


def test_remarks_on_counts_are_about_what_was_asked() -> None:
    items = [answered("你好", "你好", number=place, source="fleurs_zh", language="zh") for place in range(9)]
    row = one(score(items[:5], Beside(asked=[item.sample for item in items], limit=9)), "fleurs_zh")
    assert list(row.remarks[:2]) == [
        "a part: at most 9 samples of each source were asked (--limit)",
        "9 samples, the published row has 944",
    ]


def test_strict_learns_from_all_that_was_asked() -> None:
    """The answered ones alone show no case: the part that is there must be scored as the whole will be."""
    bare = [answered("a dog ran", "A dog ran", number=place) for place in range(3)]
    written = [answered("A dog ran.", "A dog ran.", number=place) for place in range(3, 6)]
    asked = [item.sample for item in [*bare, *written]]
    whole = one(score([*bare, *written]), "asterisk_en", "strict")
    part = one(score(bare, Beside(asked=asked)), "asterisk_en", "strict")
    assert [scored.pair for scored in part.answers] == [scored.pair for scored in whole.answers[:3]]
    assert values(part)["wer"] == pytest.approx(1 / 3)
    assert values(one(score(bare), "asterisk_en", "strict"))["wer"] == 0  # what they show by themselves


def test_strict_takes_conventions_of_whole_sources_over_what_a_part_shows() -> None:
    bare = [answered("a dog ran", "A dog ran", number=place) for place in range(3)]
    whole = [item.sample for item in [*bare, *(answered("A dog.", "", number=place) for place in range(3, 9))]]
    known = conventions_of(whole)
    assert known == (("asterisk_en", True, True),)
    part = one(score(bare, Beside(conventions=known)), "asterisk_en", "strict")
    assert values(part)["wer"] == pytest.approx(1 / 3)
    # a source that nobody has looked at whole is learnt from what is there
    other = answered("Yes.", "yes", source="else")
    assert values(one(score([*bare, other], Beside(conventions=known)), "else", "strict"))["wer"] == 1
    assert Strict.for_samples(whole).reasons == Strict.for_samples(whole[:3], known).reasons


def test_chinese_translations_are_shown_by_character() -> None:
    item = answered(
        "我今天 早上去了", "我今天早上去", source="covost2_en_zh_test", task="translation", target_language="zh"
    )
    [scored] = one(score([item]), "covost2_en_zh").answers
    assert (scored.pair.reference, scored.pair.answer) == (tuple("我今天早上去了"), tuple("我今天早上去"))
    english = answered("so it is", "so is it", source="x_en", task="translation", target_language="en")
    [scored] = one(score([english]), "x_en").answers
    assert scored.pair.reference == ("so", "it", "is")
