"""Which parameters move at a point of a run, and how fast."""

import math

import pytest
import toy
from hypothesis import given
from hypothesis import strategies as st

from auricle.errors import UserError
from auricle.train.schedule import Rates, check_phases, ever_moves, factor, moves, part_of, rates
from auricle.train.settings import OptimizerSettings, PhaseSettings

NAMES = [name for name, _ in toy.tiny().named_parameters()]
FIRST, TOP = "audio_tower.layers.0.fc1.weight", "audio_tower.layers.1.fc1.weight"
NORM, CONVOLUTION = "audio_tower.layer_norm.weight", "audio_tower.conv1.weight"
POSITIONS = "audio_tower.embed_positions.weight"


def moving(now: Rates) -> set[str]:
    return {name for name in NAMES if moves(name, now, num_layers=2)}


@given(st.floats(0, 0.9), st.floats(0, 1), st.integers(1, 5000))
def test_the_rate_rises_in_a_line_and_falls_in_a_cosine(warmup: float, final: float, num_steps: int):
    settings = OptimizerSettings(warmup=warmup, final_share=final)
    factors = [factor(settings, (step + 1) / num_steps) for step in range(min(num_steps, 200))]
    assert all(0 < value <= 1 or final == 0 for value in factors)
    assert factor(settings, 1.0) == pytest.approx(final)
    assert factor(settings, warmup) == pytest.approx(1.0)
    assert factor(settings, warmup / 2) == pytest.approx(0.5 if warmup else 1.0)
    assert factor(settings, (1 + warmup) / 2) == pytest.approx((1 + final) / 2)


def test_each_phase_has_its_rates_and_all_share_one_curve():
    phases = (PhaseSettings(until=0.5, projector=1e-3), PhaseSettings(until=1.0, projector=1e-4, decoder=1e-5))
    settings = OptimizerSettings(warmup=0.1, final_share=0.2)
    for progress in (0.05, 0.3, 0.5):
        now = rates(phases, settings, progress, num_layers=2)
        assert (now.projector, now.decoder, now.encoder) == (1e-3 * factor(settings, progress), 0, 0)
    now = rates(phases, settings, 0.51, num_layers=2)
    assert (now.projector, now.decoder) == (1e-4 * factor(settings, 0.51), 1e-5 * factor(settings, 0.51))


@given(st.integers(1, 40), st.integers(1, 400), st.floats(0, 0.8))
def test_step_by_step_lets_one_layer_in_after_another_each_for_as_long(num_layers: int, num_steps: int, begin: float):
    phases = (
        *((PhaseSettings(until=begin, projector=1.0),) if begin else ()),
        PhaseSettings(encoder=1.0, encoder_layers="step by step"),
    )
    steps = [step / num_steps for step in range(1, num_steps + 1) if step / num_steps > begin]
    counts = [rates(phases, OptimizerSettings(), progress, num_layers=num_layers).encoder_layers for progress in steps]
    assert counts == sorted(counts)
    assert counts[-1] == num_layers
    for progress, count in zip(steps, counts, strict=True):
        share = (progress - begin) / (1 - begin)
        assert count - 1 <= share * num_layers + 1e-6
        assert share * num_layers <= count + 1e-6


def test_layers_move_from_the_top_and_the_position_table_never():
    assert moving(Rates(0, 0, 1, 1)) == {
        name for name in NAMES if name.startswith(("audio_tower.layers.1.", NORM[:-6]))
    }
    two = moving(Rates(0, 0, 1, 2))
    assert {FIRST, TOP, NORM} <= two
    assert CONVOLUTION not in two
    everything = moving(Rates(1, 1, 1, None))
    assert everything == set(NAMES) - {POSITIONS}
    assert moving(Rates(1, 0, 0)) == {name for name in NAMES if part_of(name) == "projector"}
    assert moving(Rates(0, 1, 0)) == {name for name in NAMES if name.startswith("language_model.")}


def test_what_ever_moves_is_what_moves_at_some_step():
    phases = tuple(PhaseSettings(**phase) for phase in toy.PHASES)
    steps = [rates(phases, OptimizerSettings(), (step + 1) / 40, num_layers=2) for step in range(40)]
    for name in NAMES:
        assert ever_moves(name, phases, num_layers=2) == any(moves(name, now, num_layers=2) for now in steps)
    top = (PhaseSettings(encoder=1e-3, encoder_layers=1),)
    assert ever_moves(TOP, top, num_layers=2)
    assert not ever_moves(FIRST, top, num_layers=2)


@pytest.mark.parametrize(
    ("phases", "sentence"),
    [
        ((), "the phases end at []; expected one or more shares of the run"),
        ((PhaseSettings(until=0.5, projector=1),), "the phases end at [0.5]"),
        ((PhaseSettings(until=0.5, projector=1), PhaseSettings(until=0.5, projector=1)), "each larger than the last"),
        ((PhaseSettings(until=0.0, projector=1), PhaseSettings(projector=1)), "the phases end at [0.0, 1.0]"),
        ((PhaseSettings(),), "in phase 1 nothing moves or a rate is negative; give at least one rate above 0"),
        ((PhaseSettings(projector=1e-3, decoder=-1e-5),), "in phase 1 nothing moves or a rate is negative"),
        ((PhaseSettings(encoder=1, encoder_layers=3),), "phase 1 moves 3 of the encoder's layers; expected 1 to 2"),
        ((PhaseSettings(encoder=1, encoder_layers=0),), "phase 1 moves 0 of the encoder's layers"),
    ],
)
def test_phases_that_make_no_run(phases: tuple[PhaseSettings, ...], sentence: str):
    with pytest.raises(UserError) as caught:
        check_phases(phases, OptimizerSettings(), num_layers=2)
    assert sentence in str(caught.value)


def test_a_warm_up_that_never_ends():
    check_phases((PhaseSettings(projector=1),), OptimizerSettings(warmup=0), num_layers=2)
    assert math.isclose(factor(OptimizerSettings(warmup=0), 1e-9), 1.0)
    with pytest.raises(UserError, match=r"optimizer.warmup is 1.0; expected a share of the run"):
        check_phases((PhaseSettings(projector=1),), OptimizerSettings(warmup=1.0), num_layers=2)
