"""Partial text: what is said is never taken back, and was agreed on by two hypotheses in a row."""

from hypothesis import example, given
from hypothesis import strategies as st

from auricle.assistant.live import Agreement

words = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=8).map(" ".join)


def test_words_are_said_once_two_hypotheses_in_a_row_have_them():
    agreement = Agreement()
    assert agreement.hear("one") == ""
    assert agreement.hear("one two") == "one"
    assert agreement.hear("one too three") == ""
    assert agreement.hear("one too three four") == " too three"
    assert agreement.text == "one too three"
    assert agreement.finish("one too three four five") == " four five"


def test_a_word_that_is_still_being_spoken_is_not_said():
    agreement = Agreement()
    agreement.hear("the train sta")
    assert agreement.hear("the train station is") == "the train"


def test_what_was_said_stays_where_later_hypotheses_disagree_and_new_words_follow_it():
    agreement = Agreement()
    for hypothesis in ("she sells sea", "she sells sea"):
        agreement.hear(hypothesis)
    for hypothesis in ("he really sells sea shells by", "he really sells sea shells by the"):
        delta = agreement.hear(hypothesis)
    assert delta == " shells by"
    assert agreement.text == "she sells sea shells by"
    assert agreement.finish("he really sells sea shells by the shore") == ""


def test_ideographs_are_words_of_their_own():
    agreement = Agreement()
    agreement.hear("你好世间")
    assert agreement.hear("你好世界很大") == "你好世"
    assert agreement.finish("你好世界很大") == "界很大"


@given(st.lists(words, max_size=8))
@example(["a b", "a b", "b", "b c", "b c"])
def test_text_only_grows_by_words_that_the_last_two_hypotheses_begin_with(hypotheses):
    agreement = Agreement()
    for last, hypothesis in zip(["", *hypotheses], hypotheses, strict=False):
        said = agreement.text
        delta = agreement.hear(hypothesis)
        assert agreement.text == said + delta
        both = []
        for one, other in zip(last.split(), hypothesis.split(), strict=False):
            if one != other:
                break
            both.append(one)
        new = delta.split()
        assert new == both[len(both) - len(new) :]  # the end of what both begin with


@given(words, st.lists(st.integers(0, 8), max_size=6))
def test_hypotheses_that_grow_end_in_the_whole_text(text, lengths):
    """The usual case: each hypothesis is the beginning of the final text."""
    agreement = Agreement()
    deltas = [agreement.hear(" ".join(text.split()[:length])) for length in sorted(lengths)]
    assert "".join(deltas) == agreement.text
    assert "".join([*deltas, agreement.finish(text)]) == text


@given(words, st.lists(words, max_size=4))
def test_the_end_is_said_only_where_it_continues_what_was_said(text, hypotheses):
    agreement = Agreement()
    for hypothesis in hypotheses:
        agreement.hear(hypothesis)
    said = agreement.text.split()
    rest = agreement.finish(text)
    if text.split()[: len(said)] == said:
        assert [*said, *rest.split()] == text.split()
    else:
        assert rest == ""
