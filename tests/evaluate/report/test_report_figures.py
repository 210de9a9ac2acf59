"""Units of the published table, and where a published value stands to our interval."""

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.evaluate.published import ROWS, Metric
from auricle.evaluate.report.figures import (
    bounds,
    difference_verdict,
    in_table_units,
    number,
    printed,
    unit_of,
    verdict,
)
from auricle.metrics.counts import Interval


@pytest.mark.parametrize(
    ("figure", "interval", "published", "expected"),
    [
        ("wer", (0.0168, 0.0152, 0.0184), 1.7, "inside"),  # ours are fractions, the table has %
        ("wer", (0.0168, 0.0152, 0.0184), 2.24, "better"),  # they make more errors
        ("wer", (0.0168, 0.0152, 0.0184), 1.5, "worse"),
        ("accuracy", (0.55, 0.54, 0.56), 0.548, "inside"),  # fractions on both sides
        ("accuracy", (0.55, 0.54, 0.56), 0.535, "better"),
        ("accuracy", (0.55, 0.54, 0.56), 0.9, "worse"),
        ("bleu", (45.0, 44.0, 45.55), 45.5, "inside"),
        ("bleu", (45.0, 44.0, 45.55), 45.6, "worse"),
        ("judge", (6.5, 6.0, 6.8), 5.9, "better"),
    ],
)
def test_where_a_published_value_stands_in_its_own_unit(figure, interval, published, expected):
    assert verdict(figure, Interval(*interval, 10), published) == expected


@given(st.sampled_from(["wer", "bleu"]), st.floats(0.01, 90), st.floats(0, 5), st.floats(0.001, 100))
def test_verdicts_agree_with_the_definition(figure, middle, half, published):
    scale = 100 if figure == "wer" else 1
    interval = Interval(middle / scale, (middle - half) / scale, (middle + half) / scale, 5)
    low, high = interval.low * scale, interval.high * scale
    found = verdict(figure, interval, published)
    assert (found == "inside") == (low <= published <= high)
    if found != "inside":
        assert (found == "better") == ((published > high) if figure == "wer" else (published < low))


def test_bounds_belong_to_the_interval():
    assert verdict("bleu", Interval(20, 10, 30, 5), 10) == "inside"
    assert verdict("bleu", Interval(20, 10, 30, 5), 30) == "inside"


def test_an_undefined_figure_is_compared_with_nothing():
    assert verdict("wer", Interval(math.nan, math.nan, math.nan, 0), 1.7) is None
    assert number("wer", math.nan) == "–"


def test_a_lower_error_rate_is_the_better_difference():
    assert difference_verdict("wer", Interval(-0.01, -0.02, -0.005, 9)) == "better"
    assert difference_verdict("bleu", Interval(-1, -2, -0.5, 9)) == "worse"
    assert difference_verdict("bleu", Interval(-1, -2, 0.5, 9)) == "inside"


def test_every_published_metric_has_a_unit_in_which_its_values_make_sense():
    for metric in get_args(Metric):
        unit_of(metric)
    for row in ROWS:
        if row.official is not None:
            ours = row.official / unit_of(row.metric).scale
            assert ours < 0.1 if row.metric == "wer" else ours == row.official


def test_an_unknown_figure_is_refused():
    with pytest.raises(ValueError, match=r"no unit is known for the figure 'werr': expected one of wer, cer"):
        unit_of("werr")


def test_numbers_as_the_table_prints_them():
    assert number("wer", 1.676) == "1.68"
    assert number("wer", -1.676, sign=True) == "−1.68"
    assert bounds("accuracy", Interval(0.5, 0.49121, 0.51, 3)) == "0.4912 to 0.5100"
    assert in_table_units("cer", Interval(0.5, 0.25, 0.75, 3)) == Interval(50, 25, 75, 3)
    assert [printed("wer", 1.7), printed("bleu", 30), printed("accuracy", 0.9395), printed("accuracy", 0.5)] == [
        "1.7",
        "30.0",
        "0.9395",
        "0.500",
    ]
