"""Runs of the third stage: the reference computed before the first step, and pairs of the model's own answers."""

import json
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from auricle.data.augment import AugmentSettings
from auricle.data.settings import DataSettings, SourceSettings
from auricle.errors import UserError
from auricle.train.judges import Verdict, each
from auricle.train.progress import Progress
from auricle.train.reference import FrozenCopy
from auricle.train.report import StepReport
from auricle.train.run import run
from auricle.train.settings import DpoSettings, PhaseSettings, Recipe, SaveSettings, WatchSettings
from auricle.weights import read_model

SAID = [("the quick fox", "a lazy dog"), ("over the dog", "again"), ("who speaks", "nobody")]


@pytest.fixture
def recipe(tmp_path: Path, checkpoint_dir: Path, recordings: list[Path]) -> Recipe:
    """Three pairs to learn from, the same from other files held out; four steps."""
    for name in ("train", "heldout"):
        (tmp_path / name).mkdir()
        lines = []
        for path, (good, bad) in zip(recordings, SAID, strict=True):
            shutil.copy(path, tmp_path / name)
            turns = [{"role": "user", "content": "<audio>Who?"}, {"role": "assistant", "content": good}]
            lines.append(json.dumps({"messages": turns, "audios": [path.name], "rejected_response": bad}))
        (tmp_path / name / "pairs.jsonl").write_text("\n".join(lines) + "\n")
    train, heldout = ((SourceSettings(tmp_path / name / "pairs.jsonl"),) for name in ("train", "heldout"))
    return Recipe(
        model=str(checkpoint_dir),
        out=tmp_path / "run",
        steps=4,
        device="cpu",
        data=DataSettings(train=train, heldout=heldout, pack_tokens=200, packs_per_step=2, num_workers=0),
        phases=(PhaseSettings(projector=1e-2, decoder=1e-3),),
        watch=WatchSettings(every=2, num_heldout=3, num_answers=1, log_every=1),
        save=SaveSettings(every=2, keep=2),
    )


@pytest.fixture
def ending(checkpoint_dir: Path, tmp_path: Path) -> Path:
    """Answers of the tiny model end nearly at once or never: here any of many ids may end one."""
    model = tmp_path / "ending"
    shutil.copytree(checkpoint_dir, model)
    path = model / "generation_config.json"
    said = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(said | {"eos_token_id": list(range(60, 100))}))
    return model


def own_answers(recipe: Recipe, **changes: object) -> Recipe:
    dpo = DpoSettings(rollouts=8, rollout_temperature=1.5, rollout_margin=0.0, rollout_max_tokens=10)
    return replace(recipe, dpo=replace(dpo, **changes), watch=replace(recipe.watch, every=0))  # type: ignore[arg-type]


def steps_of(out: Path) -> list[dict]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "grad_norm" in line]


def kept(path: Path) -> dict[str, str]:
    connection = sqlite3.connect(path)
    found = dict(connection.execute("SELECT key, value FROM kept"))
    connection.close()
    return found


def lose_the_end(out: Path) -> None:
    shutil.rmtree(out / "checkpoints" / "step-000004")
    shutil.rmtree(out / "model")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_own_answers_make_pairs_that_are_learnt(
    recipe: Recipe, ending: Path, dtype: str, monkeypatch: pytest.MonkeyPatch
):
    """The judge prefers answers by a sum over their letters, so that two that differ are seldom alike to it."""
    judge = each(lambda case, answer: Verdict((sum(map(ord, answer)) % 101) / 100, ""))
    monkeypatch.setattr("auricle.train.answered.verifiable", lambda: [("factual", judge)])
    recipe = own_answers(replace(recipe, dtype=dtype, model=str(ending)))
    model = run(recipe, "dpo")
    steps = steps_of(recipe.out)
    assert len(steps) == 4
    assert all(0 <= line["rollouts/pairs"] <= line["rollouts/prompts"] for line in steps)
    assert sum(line["rollouts/prompts"] for line in steps) >= 8
    learnt = [line for line in steps if line["rollouts/pairs"]]
    assert learnt
    assert all(line["supervised"] and line["grad_norm"] > 0 and line["loss"] > 0 for line in learnt)
    assert learnt[0]["loss"] == pytest.approx(0.6931, abs=2e-2 if dtype == "bfloat16" else 1e-4)  # it is the reference
    before, after = (
        dict(read_model(path, dtype=torch.float32, device=torch.device("cpu")).named_parameters())
        for path in (ending, model)
    )
    assert any(not torch.equal(after[name], before[name]) for name in before)


def test_answers_that_are_all_alike_teach_nothing_and_no_loss_is_told(
    recipe: Recipe, capfd: pytest.CaptureFixture[str]
):
    recipe = own_answers(recipe, rollout_temperature=1e-4)
    run(recipe, "dpo")
    steps = steps_of(recipe.out)
    assert [line["rollouts/pairs"] for line in steps] == [0] * 4
    assert all("loss" not in line and line["rollouts/prompts"] > 0 for line in steps)
    told = capfd.readouterr()
    assert "step 4/4" in told.err + told.out
    assert "nan" not in told.err + told.out


def test_a_judge_that_does_not_answer_is_told_before_the_first_step(recipe: Recipe):
    judged = own_answers(recipe, rollout_judge="http://127.0.0.1:9/v1", rollout_judge_model="j")
    with pytest.raises(UserError, match="is the server running"):
        run(judged, "dpo")
    assert not list((recipe.out / "checkpoints").glob("step-*"))


@pytest.mark.parametrize("changes", [{"rollout_top_p": 2.0}, {"rollout_max_tokens": 0}, {"rollouts": 1}])
def test_numbers_that_draw_nothing_are_refused(recipe: Recipe, changes: dict):
    with pytest.raises(UserError):
        run(own_answers(recipe, **changes), "dpo")


def test_one_rank_needs_no_second_model(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """The policy is the reference before its first step; a run that goes on finds all of it."""
    monkeypatch.setattr(
        "auricle.train.objectives.read_model", lambda *given, **named: pytest.fail("a second model was read")
    )
    run(recipe, "dpo")
    told = "".join(capfd.readouterr())
    assert "computing the reference's log-probabilities before the first step" in told
    assert "the reference: 12 answers computed" in told  # three pairs, held out as well, and those again in silence
    before = steps_of(recipe.out)
    lose_the_end(recipe.out)
    run(recipe, "dpo")
    told = "".join(capfd.readouterr())
    assert "going on after step 2 of 4" in told
    assert "the reference" not in told
    assert [line["loss"] for line in steps_of(recipe.out)] == [line["loss"] for line in before]


def test_a_copy_computes_what_was_lost_and_is_let_go(recipe: Recipe, monkeypatch: pytest.MonkeyPatch):
    """The same values, from a model of its own, as the policy has moved by then."""
    run(recipe, "dpo")
    cache = recipe.out / "reference.sqlite"
    before = kept(cache)
    cache.unlink()
    lose_the_end(recipe.out)
    freed: list[bool] = []
    called: list[int] = []
    free, call = FrozenCopy.free, FrozenCopy.__call__

    def counted_free(self: FrozenCopy) -> None:
        freed.append(self._trainee is not None)
        free(self)

    def counted_call(self: FrozenCopy, pack: object) -> torch.Tensor:
        called.append(len(freed))
        return call(self, pack)  # type: ignore[arg-type]

    monkeypatch.setattr(FrozenCopy, "free", counted_free)
    monkeypatch.setattr(FrozenCopy, "__call__", counted_call)
    run(recipe, "dpo")
    assert freed == [True]
    assert called
    assert set(called) == {0}  # never after it was let go
    after = kept(cache)
    assert after.keys() == before.keys()
    assert {key: float(value) for key, value in after.items()} == pytest.approx(
        {key: float(value) for key, value in before.items()}, abs=1e-4
    )


def test_nothing_is_computed_before_where_recordings_are_augmented(recipe: Recipe, capfd: pytest.CaptureFixture[str]):
    augmented = replace(recipe.data, augment=AugmentSettings(chance=1.0))
    run(replace(recipe, data=augmented, steps=1), "dpo")
    assert "before the first step" not in "".join(capfd.readouterr())


def test_a_step_without_a_loss_leaves_it_out_of_the_line(capfd: pytest.CaptureFixture[str]):
    with Progress(log_every=1, device=torch.device("cpu"), peak_flops=None) as progress:
        progress.step(StepReport(1, 9, {}, {"decoder": 1.0}, 0.0, 0, 0, 0.0, 1.0, 0.0))
        progress.step(StepReport(2, 9, {"loss": 2.0}, {"decoder": 1.0}, 0.0, 0, 0, 0.0, 1.0, 0.0))
        progress.step(StepReport(3, 9, {}, {"decoder": 1.0}, 0.0, 0, 0, 0.0, 1.0, 0.0))
    first, second, third = [line for line in "".join(capfd.readouterr()).splitlines() if line.startswith("step ")]
    assert "loss" not in first
    assert "loss 2" in second
    assert "loss 2" in third
