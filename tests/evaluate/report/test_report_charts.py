"""Marks lie where their values say."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.evaluate.report.charts import (
    WIDTH,
    Mark,
    axis_around_zero,
    axis_of,
    axis_of_rates,
    axis_over,
    strip_of,
)
from auricle.evaluate.report.figures import unit_of
from auricle.metrics.counts import Interval

VALUES = st.lists(st.floats(0.001, 1000), min_size=1, max_size=12)


@given(VALUES, st.sampled_from([axis_over, axis_of_rates, axis_around_zero]))
def test_every_axis_shows_all_values_in_order_with_round_ticks(values, make):
    axis = make(values)
    places = [axis.x(value) for value in sorted(values)]
    assert places == sorted(places)
    assert places[0] > 0
    assert places[-1] < WIDTH
    assert axis.low <= min(values)
    assert max(values) <= axis.high
    ticks = [tick.x for tick in axis.ticks]
    assert ticks == sorted(ticks)
    assert len(ticks) <= 8
    for tick in axis.ticks:
        assert axis.x(float(tick.label.replace("−", "-"))) == pytest.approx(tick.x, abs=0.01)


def test_equal_steps_are_equally_long_on_a_linear_axis_and_equal_ratios_on_a_logarithmic_one():
    linear, logarithmic = axis_over([10, 20, 30]), axis_of_rates([1, 10, 100])
    assert not linear.logarithmic
    assert linear.x(20) - linear.x(10) == pytest.approx(linear.x(30) - linear.x(20), abs=0.02)
    assert logarithmic.logarithmic
    assert logarithmic.x(10) - logarithmic.x(1) == pytest.approx(logarithmic.x(100) - logarithmic.x(10), abs=0.02)


def test_only_error_rates_far_apart_get_a_logarithmic_axis():
    assert axis_of(unit_of("wer"), [1.7, 45]).logarithmic
    assert not axis_of(unit_of("wer"), [1.7, 2.2]).logarithmic
    assert not axis_of(unit_of("wer"), [0, 45]).logarithmic  # zero has no place on it
    assert not axis_of(unit_of("accuracy"), [0.1, 0.9]).logarithmic


def test_an_axis_of_differences_holds_zero():
    axis = axis_around_zero([3.0, 4.0])
    assert axis.low <= 0 <= axis.high
    assert "0" in [tick.label for tick in axis.ticks]


def test_nothing_to_show_has_no_axis_and_undefined_values_no_strip():
    for make in (axis_over, axis_of_rates, axis_around_zero):
        assert make([math.nan]) is None
    assert strip_of(axis_over([1, 2]), Interval(math.nan, math.nan, math.nan, 0), "") is None


def test_a_strip_has_its_interval_and_marks_in_place():
    axis = axis_over([10, 20])
    mark = Mark("vllm", axis.x(18), "vLLM: 18")
    strip = strip_of(axis, Interval(15, 12, math.nan, 4), "ours", [mark], reference=16)
    assert (strip.x, strip.low, strip.high) == (axis.x(15), axis.x(12), axis.x(15))
    assert strip.reference == axis.x(16)
    assert strip.marks == (mark,)
    assert strip.low < strip.x < strip.reference < mark.x
