"""The loop against plain torch, and what it does when things go wrong."""

import json
import math
import os
import signal
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import toy

from auricle.data import Pack
from auricle.data.refusal import Refusal
from auricle.errors import UserError
from auricle.train.checkpoint import Checkpoints, Point
from auricle.train.distributed import Ranks
from auricle.train.loop import Training, train
from auricle.train.objective import CrossEntropy, Loss
from auricle.train.optimizer import make_optimizer
from auricle.train.schedule import rates
from auricle.train.session import find_start, learn, make_trainee, master_names
from auricle.train.settings import Recipe
from auricle.train.stopping import stop_requests
from auricle.train.trainee import Trainee

ALONE = Ranks(0, 1, torch.device("cpu"))
EVERYTHING = [{"projector": 1e-2, "decoder": 3e-3, "encoder": 1e-3}]


def run_of(recipe: Recipe, **changes: Any) -> Training:
    trainee = make_trainee(toy.tiny(), recipe, ALONE)
    names = master_names(trainee.model, recipe)
    parameters = {name: one for name, one in trainee.model.named_parameters() if name in names}
    made = Training(
        recipe=recipe,
        ranks=ALONE,
        trainee=trainee,
        parameters=parameters,
        optimizer=make_optimizer(parameters, recipe.optimizer),
        objective=CrossEntropy(),
        listeners=(toy.Scribe(),),
        watch=lambda step: None,
        save=lambda point: None,
        asked_to_stop=lambda: False,
    )
    return replace(made, **changes)


def stream_of(recipe: Recipe, changed: dict[tuple[int, int], Pack] | None = None) -> toy.ToyStream:
    return toy.ToyStream(ALONE, recipe.data.packs_per_step, changed=changed or {})


def plain_loop(recipe: Recipe) -> tuple[list[float], list[float], Trainee]:
    """Torch alone: every token of a step in one mean, one backward; losses and norms."""
    trainee = make_trainee(toy.tiny(), recipe, ALONE)
    parameters = {
        name: one for name, one in trainee.model.named_parameters() if name in master_names(trainee.model, recipe)
    }
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    vectors = [one for one in parameters.values() if one.ndim == 1]
    matrices = [one for one in parameters.values() if one.ndim > 1]
    settings = recipe.optimizer
    optimizer = torch.optim.AdamW(
        [{"params": vectors, "weight_decay": 0.0}, {"params": matrices, "weight_decay": settings.weight_decay}],
        betas=settings.betas,
    )
    losses, norms = [], []
    stream = stream_of(recipe)
    for step in range(recipe.steps):
        (rate,) = {rates(recipe.phases, settings, (step + 1) / recipe.steps, num_layers=2).projector}
        for group in optimizer.param_groups:
            group["lr"] = rate
        packs = [stream.pack(step, place) for place in range(recipe.data.packs_per_step)]
        loss = torch.cat([trainee(pack) for pack in packs]).mean()
        loss.backward()
        norm = torch.cat([one.grad.flatten() for one in parameters.values() if one.grad is not None]).norm()
        for one in parameters.values():
            one.grad = torch.zeros_like(one) if one.grad is None else one.grad * min(1, settings.clip / norm.item())
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        norms.append(norm.item())
    return losses, norms, trainee


def test_eight_packs_equal_one_mean_over_all_their_tokens(tmp_path: Path):
    same = [{"projector": 1e-2, "decoder": 1e-2, "encoder": 1e-2}]
    recipe = toy.recipe_of(tmp_path, {"steps": 6, "data": {"packs_per_step": 8}, "phases": same})
    run = run_of(recipe)
    train(run, stream_of(recipe), Point(0, {}, [], {}))
    losses, norms, oracle = plain_loop(recipe)
    reports = run.listeners[0].reports
    assert [report.logged["loss"] for report in reports] == pytest.approx(losses, abs=2e-5)
    assert [report.grad_norm for report in reports] == pytest.approx(norms, rel=1e-4)
    assert len({len(stream_of(recipe).pack(0, place).targets) for place in range(8)}) > 2  # a mean of means differs
    for (name, mine), theirs in zip(run.trainee.named_parameters(), oracle.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-4, rtol=0, msg=name)


def test_gradients_of_eight_packs_to_a_millionth(tmp_path: Path):
    recipe = toy.recipe_of(tmp_path, {"steps": 1, "data": {"packs_per_step": 8}, "phases": EVERYTHING})
    recipe = replace(recipe, optimizer=replace(recipe.optimizer, clip=1e9))
    run = run_of(recipe)
    seen: dict[str, torch.Tensor] = {}
    run.optimizer.step = lambda: seen.update({name: one.grad.clone() for name, one in run.parameters.items()})
    train(run, stream_of(recipe), Point(0, {}, [], {}))
    oracle = make_trainee(toy.tiny(), recipe, ALONE)
    parameters = {name: one.requires_grad_(True) for name, one in oracle.model.named_parameters() if name in seen}
    torch.cat([oracle(stream_of(recipe).pack(0, place)) for place in range(8)]).mean().backward()
    assert len(seen) > 30
    for name, parameter in parameters.items():
        torch.testing.assert_close(seen[name], parameter.grad, atol=1e-6, rtol=1e-6, msg=name)


def test_what_stands_still_stands_still_and_moves_in_its_phase(tmp_path: Path):
    recipe = toy.recipe_of(tmp_path, {"steps": 8})
    run = run_of(recipe)
    before = {name: one.detach().clone() for name, one in run.trainee.model.named_parameters()}
    changed: list[set[str]] = []

    class Look(toy.Scribe):
        def step(self, report: Any) -> None:
            now = dict(run.trainee.model.named_parameters())
            changed.append({name for name, one in now.items() if not torch.equal(one, before[name])})

    train(replace(run, listeners=(Look(),)), stream_of(recipe), Point(0, {}, [], {}))
    projector = {"multi_modal_projector.linear.weight", "multi_modal_projector.linear.bias"}
    assert changed[1] == projector  # a quarter of the run
    assert {name for name in changed[2] if name.startswith("audio_tower")} == {
        name for name in before if name.startswith(("audio_tower.layers.1.", "audio_tower.layer_norm."))
    } - {"audio_tower.layers.1.self_attn.k_proj.bias"}
    assert "audio_tower.conv1.weight" not in changed[5]
    assert changed[7] == before.keys() - {"audio_tower.embed_positions.weight"}
    assert not any(one.grad is not None for one in run.parameters.values())


def test_the_report_counts_what_was_read_and_learnt(tmp_path: Path):
    recipe = toy.recipe_of(tmp_path, {"steps": 2, "data": {"packs_per_step": 3}})
    run, stream = run_of(recipe), stream_of(recipe)
    train(run, stream, Point(0, {}, [], {}))
    for number, report in enumerate(run.listeners[0].reports):
        packs = [stream.pack(number, place) for place in range(3)]
        assert (report.step, report.num_steps) == (number + 1, 2)
        assert report.tokens == sum(len(pack.inputs.ids) for pack in packs)
        assert report.supervised == sum(len(pack.targets) for pack in packs)
        assert report.audio_s == pytest.approx(sum(pack.audio_s for pack in packs))
        assert report.flops > 1000
        assert report.seconds > 0
        assert report.rates.keys() == {"projector", "decoder", "encoder"}
        assert report.logged.keys() == {"loss", "loss/asr", "loss/caption"}


def test_saves_and_watches_when_it_should(tmp_path: Path):
    recipe = toy.recipe_of(tmp_path, {"steps": 7, "save": {"every": 3}})
    recipe = replace(recipe, watch=replace(recipe.watch, every=2))
    done: list[tuple[str, int]] = []
    run = run_of(recipe, watch=lambda step: done.append(("watch", step)), save=lambda p: done.append(("save", p.step)))
    end = train(run, stream_of(recipe), Point(0, {}, [], {}))
    assert [step for what, step in done if what == "watch"] == [0, 2, 4, 6, 7]
    assert [step for what, step in done if what == "save"] == [3, 6, 7]
    assert done.index(("watch", 6)) < done.index(("save", 6))  # a run that goes on from 6 has heard of it
    assert (end.step, end.stream) == (7, {"next": 7})


def test_asked_to_stop_it_finishes_the_step_and_saves(tmp_path: Path):
    recipe, saved = toy.recipe_of(tmp_path, {"steps": 9}), []
    run = run_of(recipe, save=saved.append)
    run = replace(run, asked_to_stop=lambda: len(run.listeners[0].reports) == 2)
    assert train(run, stream_of(recipe), Point(0, {}, [], {})).step == 2
    assert [(point.step, point.stream) for point in saved] == [(2, {"next": 2})]


class Broken(CrossEntropy):
    """Not finite in some steps."""

    def __init__(self, steps: set[int]) -> None:
        self.steps, self.calls = steps, -1

    def __call__(self, nll_P: torch.Tensor, pack: Pack) -> Loss:
        self.calls += 1
        loss = super().__call__(nll_P, pack)
        return Loss(loss.sum * math.nan, loss.logged) if self.calls in self.steps else loss


def test_a_step_without_a_finite_gradient_is_skipped_with_a_note(tmp_path: Path):
    recipe = toy.recipe_of(tmp_path, {"steps": 6, "data": {"packs_per_step": 1}, "phases": EVERYTHING})
    run = run_of(recipe, objective=Broken({1, 2, 4}))
    with pytest.warns(UserWarning, match=r"step \d is skipped: its gradient is not finite") as told:
        train(run, stream_of(recipe), Point(0, {}, [], {}))
    assert [str(warning.message)[:6] for warning in told] == ["step 2", "step 3", "step 5"]
    assert run.listeners[0].notes == [(2, {"skipped_steps": 1}), (3, {"skipped_steps": 2}), (5, {"skipped_steps": 1})]
    assert all(one.isfinite().all() for one in run.trainee.parameters())
    (number,) = {int(state["step"]) for state in run.optimizer.state.values()}
    assert number == 3


def test_three_such_steps_in_a_row_end_the_run(tmp_path: Path):
    settings = {"steps": 9, "data": {"packs_per_step": 1}, "phases": EVERYTHING, "save": {"every": 0}}
    recipe = toy.recipe_of(tmp_path, settings)
    saved: list[Point] = []
    run = run_of(recipe, objective=Broken({3, 4, 5}), save=saved.append)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with pytest.raises(UserError, match="the gradient is not finite in 3 steps running, the last is 6"):
            train(run, stream_of(recipe), Point(0, {}, [], {}))
    assert saved == []


def test_a_run_on_what_cannot_be_heard_learns_the_rest_up_to_the_limit(tmp_path: Path):
    settings = {"steps": 5, "data": {"packs_per_step": 2, "max_refused": 3}, "save": {"every": 0}}
    recipe = toy.recipe_of(tmp_path, settings)
    good = toy.make_pack(7)
    changed = {
        (0, 0): replace(good, refused=(Refusal("m:1", "a.wav: too short"),)),
        (1, 0): toy.empty_pack([Refusal("m:2", "b.wav: no such file")]),
        (1, 1): toy.empty_pack([Refusal("m:1", "a.wav: too short")] * 9),
        (3, 1): replace(good, refused=(Refusal("m:3", "c.wav: silent"), Refusal("m:4", "d.wav: silent"))),
    }
    saved: list[Point] = []
    run = run_of(recipe, save=saved.append)
    with pytest.raises(UserError) as caught:
        train(run, stream_of(recipe, changed), Point(0, {}, [], {}))
    sentence = str(caught.value)
    assert "4 samples could not be heard, more than data.max_refused (3); the last: d.wav: silent" in sentence
    reports = run.listeners[0].reports
    assert [report.refused for report in reports] == [("a.wav: too short",), ("b.wav: no such file",), ()]
    assert (reports[1].tokens, reports[1].logged, reports[1].grad_norm) == (0, {}, 0)
    assert [(point.step, point.refused, point.stream) for point in saved] == [(3, ["m:1", "m:2"], {"next": 3})]
    lines = [json.loads(line) for line in (tmp_path / "refused.jsonl").read_text().splitlines()]
    assert lines == [{"step": 4, "why": "c.wav: silent"}, {"step": 4, "why": "d.wav: silent"}]


def test_a_step_without_anything_to_learn_moves_nothing(tmp_path: Path):
    recipe = toy.recipe_of(tmp_path, {"steps": 2, "data": {"packs_per_step": 1}, "phases": EVERYTHING})
    run = run_of(recipe)
    after: list[torch.Tensor] = []

    class Look(toy.Scribe):
        def step(self, report: Any) -> None:
            after.append(run.trainee.model.multi_modal_projector.linear.weight.detach().clone())

    changed = {(1, 0): toy.empty_pack([Refusal("m:1", "gone")])}
    train(replace(run, listeners=(Look(),)), stream_of(recipe, changed), Point(0, {}, [], {}))
    assert torch.equal(after[0], after[1])


def test_words_alone_teach_a_projector_nothing_and_break_nothing(tmp_path: Path):
    recipe = toy.recipe_of(tmp_path, {"steps": 2, "data": {"packs_per_step": 1}, "phases": [{"projector": 1e-2}]})
    run = run_of(recipe)
    changed = {(step, 0): toy.make_pack(step, with_sound=False) for step in range(2)}
    train(run, stream_of(recipe, changed), Point(0, {}, [], {}))
    assert [report.grad_norm for report in run.listeners[0].reports] == [0, 0]


def test_half_precision_keeps_float32_masters(tmp_path: Path):
    recipe = toy.recipe_of(tmp_path, {"steps": 4, "dtype": "bfloat16", "phases": [{"projector": 1e-2}]})
    run = run_of(recipe)
    train(run, stream_of(recipe), Point(0, {}, [], {}))
    dtypes = {name: one.dtype for name, one in run.trainee.model.named_parameters()}
    assert dtypes.pop("multi_modal_projector.linear.weight") == torch.float32
    assert dtypes.pop("multi_modal_projector.linear.bias") == torch.float32
    assert set(dtypes.values()) == {torch.bfloat16}
    exact = run_of(replace(recipe, dtype="float32"))
    train(exact, stream_of(recipe), Point(0, {}, [], {}))
    losses, others = ([r.logged["loss"] for r in one.listeners[0].reports] for one in (run, exact))
    assert losses == pytest.approx(others, rel=0.02)
    assert losses != others


class Dropped(CrossEntropy):
    """Draws from torch's generator, as dropout does."""

    def __call__(self, nll_P: torch.Tensor, pack: Pack) -> Loss:
        return super().__call__(nll_P * torch.bernoulli(torch.full_like(nll_P, 0.5)), pack)


@pytest.mark.parametrize("stop_at", [1, 2])
def test_random_numbers_are_those_of_the_unbroken_run(tmp_path: Path, stop_at: int):
    def losses(out: Path, until: int) -> list[float]:
        recipe = toy.recipe_of(out, {"steps": 4})
        checkpoints, scribe = Checkpoints(out, ALONE, keep=1), toy.Scribe()
        learn(
            recipe,
            ALONE,
            find_start(recipe, "pretrain", checkpoints),
            checkpoints,
            trainee=make_trainee(toy.tiny(), recipe, ALONE),
            objective=Dropped(),
            stream=stream_of(recipe),
            listeners=(scribe,),
            watch=lambda step: None,
            asked_to_stop=lambda: len(scribe.reports) == until,
        )
        return [report.logged["loss"] for report in scribe.reports]

    unbroken = losses(tmp_path / "one", 99)
    torch.manual_seed(stop_at)
    assert losses(tmp_path / "two", stop_at) + losses(tmp_path / "two", 99) == unbroken


def test_a_signal_is_heard_once_and_then_does_what_it_did():
    told: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: told.append(number))
    try:
        with stop_requests() as asked:
            assert not asked()
            os.kill(os.getpid(), signal.SIGINT)
            assert asked()
            assert (asked.number, told) == (signal.SIGINT, [])
            os.kill(os.getpid(), signal.SIGINT)
            assert told == [signal.SIGINT]
        with stop_requests() as asked:
            pass
        os.kill(os.getpid(), signal.SIGINT)
        assert (asked(), told) == (False, [signal.SIGINT] * 2)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_sample_counts_once_however_often_it_is_drawn_before_and_after_a_restart(tmp_path: Path):
    recipe = toy.recipe_of(
        tmp_path, {"steps": 4, "data": {"packs_per_step": 2, "max_refused": 1}, "save": {"every": 0}}
    )
    torn = replace(toy.make_pack(7), refused=(Refusal("m:1", "torn.wav: no sound"),) * 3)
    changed = {(step, part): torn for step in range(4) for part in range(2)}
    run = run_of(recipe)
    end = train(run, stream_of(recipe, changed), Point(0, {}, [], {}))
    assert (end.step, end.refused) == (4, ["m:1"])
    assert [report.refused for report in run.listeners[0].reports] == [("torn.wav: no sound",), (), (), ()]

    again = run_of(replace(recipe, steps=8))
    end = train(again, stream_of(recipe, changed), replace(end, step=0))
    assert (end.refused, {report.refused for report in again.listeners[0].reports}) == (["m:1"], {()})


def test_a_lower_limit_counts_from_the_next_sample_on(tmp_path: Path):
    recipe = toy.recipe_of(
        tmp_path, {"steps": 2, "data": {"packs_per_step": 2, "max_refused": 0}, "save": {"every": 0}}
    )
    assert train(run_of(recipe), stream_of(recipe), Point(0, {}, ["m:1", "m:2"], {})).step == 2
