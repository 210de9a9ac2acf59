"""Draws: sources by weight, every record once an epoch, and a state of a few integers."""

import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.data.mixture import Draw, Mixture, draw_generator
from auricle.data.stream import Source
from auricle.errors import UserError


def of_size(num: int, weight: float = 1.0, record_weights: list[float] | None = None, name: str = "asr") -> Source:
    return Source(name, list(range(num)), weight, record_weights)


def draws(mixture: Mixture, num: int) -> list[Draw]:
    return [mixture.draw() for _ in range(num)]


def naive(sources: list[Source], seed: int, num: int) -> list[Draw]:
    """A list for each source, refilled when it is empty; a walk along the weights."""
    waiting, epochs, drawn = [[] for _ in sources], [0 for _ in sources], []
    for number in range(num):
        point = np.random.default_rng((seed, number, 2)).random() * sum(source.weight for source in sources)
        chosen = 0
        while point >= sources[chosen].weight:
            point -= sources[chosen].weight
            chosen += 1
        if not waiting[chosen]:
            rng = np.random.default_rng((seed, chosen, epochs[chosen], 3))
            waiting[chosen] = rng.permutation(len(sources[chosen].records)).tolist()
            epochs[chosen] += 1
        drawn.append(Draw(number, chosen, waiting[chosen].pop(0)))
    return drawn


source_lists = st.lists(
    st.builds(of_size, st.integers(1, 7), st.integers(1, 8).map(lambda eighths: eighths / 8)), min_size=1, max_size=4
)
seeds = st.integers(0, 2**40)


@given(sources=source_lists, seed=seeds)
def test_draws_are_those_of_plain_lists(sources: list[Source], seed: int):
    assert draws(Mixture(sources, seed), 60) == naive(sources, seed, 60)


@given(sources=source_lists, seed=seeds, cut=st.integers(0, 40))
def test_a_loaded_state_goes_on_as_if_nothing_had_happened(sources: list[Source], seed: int, cut: int):
    whole = Mixture(sources, seed)
    draws(whole, cut)
    state = json.loads(json.dumps(whole.state()))
    continued = Mixture(sources, seed)
    continued.load(state)
    rest = draws(whole, 40)
    assert draws(continued, 40) == rest
    assert rest[0].number == cut
    assert draws(Mixture(sources, seed), 40) != rest or cut == 0, "the state makes a difference"


@given(sources=source_lists, seed=seeds)
def test_a_source_shows_every_record_once_before_any_comes_again(sources: list[Source], seed: int):
    drawn = draws(Mixture(sources, seed), 100)
    for number, source in enumerate(sources):
        records = [draw.record for draw in drawn if draw.source == number]
        size = len(source.records)
        for start in range(0, len(records) - size + 1, size):
            assert sorted(records[start : start + size]) == list(range(size))


def test_epochs_sources_and_seeds_have_orders_of_their_own():
    sources = [of_size(50), of_size(50)]
    orders = [draw.record for draw in draws(Mixture([of_size(50)], 0), 150)]
    epochs = [tuple(orders[start : start + 50]) for start in (0, 50, 100)]
    drawn = draws(Mixture(sources, 0), 400)
    by_source = [tuple(draw.record for draw in drawn if draw.source == number)[:50] for number in (0, 1)]
    other_seed = tuple(draw.record for draw in draws(Mixture([of_size(50)], 1), 50))
    assert len({*epochs, by_source[1], other_seed}) == 5
    assert by_source[0] == epochs[0], "what else there is does not change a source's order"


def test_sources_are_drawn_as_often_as_they_weigh():
    weights = [600.0, 30.0, 300.0, 70.0]
    counts = Counter(draw.source for draw in draws(Mixture([of_size(5, weight) for weight in weights], 11), 20_000))
    for number, weight in enumerate(weights):
        share = weight / sum(weights)
        assert abs(counts[number] / 20_000 - share) < 4 * math.sqrt(share * (1 - share) / 20_000)


@given(weights=st.lists(st.floats(0, 10), min_size=1, max_size=12).filter(lambda some: sum(some) > 0.1), seed=seeds)
def test_heavier_records_come_more_often_and_never_a_whole_draw_off_their_share(weights: list[float], seed: int):
    size = len(weights)
    drawn = [draw.record for draw in draws(Mixture([of_size(size, record_weights=weights)], seed), 5 * size)]
    for epoch in range(5):
        counts = Counter(drawn[epoch * size : (epoch + 1) * size])
        for number, weight in enumerate(weights):
            share = size * weight / sum(weights)
            assert math.floor(share - 1e-6) <= counts[number] <= math.ceil(share + 1e-6)
            assert counts[number] == 0 or weight > 0


def test_a_heavy_record_is_spread_over_the_epoch():
    drawn = [draw.record for draw in draws(Mixture([of_size(100, record_weights=[50.0] + [50 / 99] * 99)], 0), 100)]
    places = [place for place, number in enumerate(drawn) if number == 0]
    assert len(places) == 50
    assert max(np.diff(places)) < 20
    assert places[0] < 20
    assert places[-1] >= 80


def test_a_record_of_small_weight_has_its_turn_in_some_epoch():
    weights = [1.0] * 9 + [0.25]
    drawn = Counter(draw.record for draw in draws(Mixture([of_size(10, record_weights=weights)], 5), 10 * 400))
    assert drawn[9] == pytest.approx(4000 * 0.25 / 9.25, rel=0.15)
    alike = [draw.record for draw in draws(Mixture([of_size(10, record_weights=[0.1] * 10)], 5), 10)]
    assert sorted(alike) == list(range(10))
    assert alike != list(range(10))


def test_what_one_draw_is_made_and_heard_with_is_its_own():
    generators = [
        *(draw_generator(seed, number, purpose) for seed in (0, 1) for number in (0, 1, 5) for purpose in PURPOSES),
        *(np.random.default_rng((seed, source, epoch, 3)) for seed in (0, 1) for source in (0, 1) for epoch in (0, 1)),
    ]
    firsts = [generator.integers(2**62) for generator in generators]
    assert len(set(firsts)) == len(firsts) == 26
    assert draw_generator(1, 5, "hear").integers(2**62) == np.random.default_rng((1, 5, 1)).integers(2**62)
    assert draw_generator(1, 5, "make").integers(2**62) == np.random.default_rng((1, 5, 0)).integers(2**62)


PURPOSES = ("make", "hear", "choose")


@pytest.mark.parametrize(
    ("sources", "sentence"),
    [
        ([], "no data to learn from: got 0 sources, expected at least one; name a manifest in data.train"),
        ([of_size(0)], "the source asr holds 0 records, expected at least one; check its path or leave it out"),
        *(
            (
                [of_size(2, weight)],
                f"the weight of the source asr is {weight}, expected a number above 0; leave a source",
            )
            for weight in (0.0, -1.0, math.inf, math.nan)
        ),
    ],
)
def test_sources_that_cannot_be_drawn_from_are_refused(sources: list[Source], sentence: str):
    with pytest.raises(UserError) as refusal:
        Mixture(sources, 0)
    assert str(refusal.value).startswith(sentence)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, math.nan], [1.0, math.inf]])
def test_weights_that_are_not_one_for_each_record_are_a_bug(weights: list[float]):
    with pytest.raises(ValueError, match="record_weights of asr: expected one number of at least 0 for each record"):
        Mixture([of_size(2, record_weights=weights)], 0)
