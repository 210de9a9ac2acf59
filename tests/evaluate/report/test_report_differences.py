"""Word-level differences."""

from hypothesis import given
from hypothesis import strategies as st

from auricle.evaluate.normalise.interface import Pair
from auricle.evaluate.report.differences import Difference, differences

WORDS = st.lists(st.sampled_from("abc"), max_size=14).map(tuple)


@given(WORDS, WORDS)
def test_both_sides_can_be_read_back(reference, answer):
    found = differences(Pair(reference, answer))
    assert [d.reference for d in found if d.kind != "insert"] == list(reference)
    assert [word for d in found if d.kind != "delete" for word in d.answer.split() * d.times] == list(answer)
    for place in found:
        assert (place.reference == place.answer) == (place.kind == "equal")
        assert (place.kind == "insert") == (not place.reference)
        assert (place.kind == "delete") == (not place.answer)


def test_each_kind_of_difference():
    found = differences(Pair(("the", "cat", "sat", "there"), ("the", "bat", "sat", "down", "there")))
    assert found == (
        Difference("equal", "the", "the"),
        Difference("replace", "cat", "bat"),
        Difference("equal", "sat", "sat"),
        Difference("insert", "", "down"),
        Difference("equal", "there", "there"),
    )
    assert differences(Pair(("gone",), ())) == (Difference("delete", "gone", ""),)


def test_what_a_stuck_model_repeats_is_shown_once():
    said = ("stop", *("thank", "you") * 5, "now")
    found = differences(Pair(("stop",), said))
    assert found[1:] == (Difference("insert", "", "thank you", 5), Difference("insert", "", "now"))


def test_twice_is_not_stuck():
    found = differences(Pair((), ("no", "no")))
    assert found == (Difference("insert", "", "no"), Difference("insert", "", "no"))


def test_characters_are_joined_without_spaces():
    assert differences(Pair((), tuple("哈哈啊" * 4)), "") == (Difference("insert", "", "哈哈啊", 4),)
