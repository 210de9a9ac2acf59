"""A run as a user starts it: from a checkpoint and a manifest to a checkpoint that every command reads."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from auricle.data.settings import DataSettings, SourceSettings
from auricle.errors import UserError
from auricle.extend import LoraSettings
from auricle.train.distributed import Ranks
from auricle.train.opening import open_parts
from auricle.train.run import run
from auricle.train.settings import DpoSettings, PhaseSettings, Recipe, SaveSettings, WatchSettings
from auricle.weights import published, read_model

CPU = torch.device("cpu")


@pytest.fixture
def recipe(tmp_path: Path, checkpoint_dir: Path, recordings: list[Path]) -> Recipe:
    """Three recordings, four steps."""
    for path in recordings:
        shutil.copy(path, tmp_path)
    said = [("the quick fox", "a lazy dog"), ("over the dog", "again"), ("who speaks", "nobody")]
    asr = [{"audio": path.name, "text": text, "task": "asr"} for path, (text, _) in zip(recordings, said, strict=True)]
    turns = [
        {
            "messages": [{"role": "user", "content": "<audio>Who?"}, {"role": "assistant", "content": good}],
            "audios": [path.name],
            "rejected_response": bad,
        }
        for path, (good, bad) in zip(recordings, said, strict=True)
    ]
    for name, lines in (("asr", asr), ("dpo", turns)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    shutil.copytree(tmp_path, tmp_path / "heldout")  # the same sound in other files
    source, heldout = (SourceSettings(tmp_path / "asr.jsonl"),), (SourceSettings(tmp_path / "heldout" / "asr.jsonl"),)
    return Recipe(
        model=str(checkpoint_dir),
        out=tmp_path / "run",
        steps=4,
        device="cpu",
        data=DataSettings(train=source, heldout=heldout, pack_tokens=150, packs_per_step=2, num_workers=0),
        phases=(PhaseSettings(projector=1e-2, decoder=1e-3, encoder=1e-3),),
        watch=WatchSettings(every=2, num_heldout=3, num_answers=1),
        save=SaveSettings(every=2, keep=1),
    )


def preferences(recipe: Recipe, **changes: object) -> Recipe:
    train, heldout = (
        (SourceSettings(folder / "dpo.jsonl"),) for folder in (recipe.out.parent, recipe.out.parent / "heldout")
    )
    return replace(recipe, data=replace(recipe.data, train=train, heldout=heldout), **changes)


def metrics(out: Path) -> list[dict]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in ("at", "seconds")} for line in lines]


def test_a_run_leaves_a_model_that_every_command_reads(
    recipe: Recipe, checkpoint_dir: Path, run_cli: Callable[..., tuple[int, str, str]], recordings: list[Path]
):
    model = run(recipe, "pretrain")
    assert model == recipe.out / "model"
    code, *_ = run_cli("transcribe", recordings[0], "--no-vad", "--model", model, "--max-new-tokens", "2")
    assert code == 0
    before, after = (
        dict(read_model(path, dtype=torch.float32, device=CPU).named_parameters()) for path in (checkpoint_dir, model)
    )
    changed = {name for name, one in after.items() if not torch.equal(one, before[name])}
    assert before.keys() - changed == {"audio_tower.embed_positions.weight"}
    assert [line["step"] for line in metrics(recipe.out) if "heldout/loss" in line] == [0, 2, 4]
    assert [path.name for path in (recipe.out / "checkpoints").iterdir()] == ["step-000004"]
    stamp = (model / "model.safetensors").stat().st_mtime_ns
    assert run(recipe, "pretrain") == model  # done already
    assert (model / "model.safetensors").stat().st_mtime_ns == stamp
    with pytest.raises(UserError, match=r"holds a run with other settings: steps was 4, is 5"):
        run(replace(recipe, steps=5), "pretrain")


@pytest.mark.slow
def test_a_run_that_lost_its_end_does_it_again_to_the_last_bit(recipe: Recipe):
    run(replace(recipe, save=SaveSettings(every=2, keep=2)), "pretrain")
    before, weights = metrics(recipe.out), (recipe.out / "model" / "model.safetensors").read_bytes()
    shutil.rmtree(recipe.out / "checkpoints" / "step-000004")
    shutil.rmtree(recipe.out / "model")
    (recipe.out / ".model.left-by-a-kill").mkdir()
    run(recipe, "pretrain")
    assert metrics(recipe.out) == before
    assert (recipe.out / "model" / "model.safetensors").read_bytes() == weights
    assert not (recipe.out / ".model.left-by-a-kill").exists()


def test_preferences_begin_where_the_reference_stands(recipe: Recipe):
    recipe = preferences(recipe)
    run(recipe, "dpo")
    first = next(line for line in metrics(recipe.out) if "rewards/margins" in line)
    assert first["rewards/margins"] == pytest.approx(0, abs=1e-5)
    assert any(abs(line.get("rewards/margins", 0)) > 1e-5 for line in metrics(recipe.out))
    assert (recipe.out / "reference.sqlite").exists()


def test_adapters_end_up_in_the_model_and_beside_it(recipe: Recipe, checkpoint_dir: Path):
    recipe = preferences(recipe, lora=LoraSettings(rank=2), phases=(PhaseSettings(decoder=1e-2),))
    run(recipe, "dpo")
    before, after = (
        dict(read_model(path, dtype=torch.float32, device=CPU).named_parameters())
        for path in (checkpoint_dir, recipe.out / "model")
    )
    changed = {name for name, one in after.items() if not torch.equal(one, before[name])}
    assert changed == {name for name in before if "language_model.model.layers" in name and "_proj.weight" in name}
    assert (recipe.out / "adapter" / "adapter_model.safetensors").exists()


def test_a_recording_that_cannot_be_heard_is_named_and_too_many_end_the_run(recipe: Recipe):
    (recipe.out.parent / "900hz.wav").write_bytes(b"no sound")
    with pytest.raises(
        UserError, match=r"1 samples could not be heard, more than data.max_refused \(0\); the last: .*900hz"
    ):
        run(replace(recipe, data=replace(recipe.data, heldout=(), max_refused=0)), "pretrain")
    assert "900hz.wav" in (recipe.out / "refused.jsonl").read_text()
    run(replace(recipe, data=replace(recipe.data, heldout=(), max_refused=1)), "pretrain")
    assert (recipe.out / "refused.jsonl").read_text().count("900hz.wav") == 1


def test_bad_lines_are_named_before_a_model_is_read(recipe: Recipe, monkeypatch: pytest.MonkeyPatch):
    manifest = recipe.data.train[0].path
    (recipe.out.parent / "900hz.wav").unlink()
    manifest.write_text(manifest.read_text() + '{"audoi": "x.wav", "text": "yes"}\n')
    monkeypatch.setattr(
        "auricle.train.opening.read_checkpoint", lambda *given, **named: pytest.fail("a model was read")
    )
    with pytest.raises(
        UserError, match=r"the data have 2 bad lines: .*asr.jsonl:2: no such file: .*asr.jsonl:4: .*audio"
    ):
        run(recipe, "pretrain")
    with pytest.raises(UserError, match=r"data.train names no data set; give one, for example data.train="):
        run(replace(recipe, data=replace(recipe.data, train=())), "pretrain")
    assert not recipe.out.exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"steps": 0}, "steps is 0; expected at least 1"),
        ({"save": SaveSettings(keep=0)}, "save.keep is 0; expected at least 1"),
        ({"phases": ()}, r"the phases end at \[\]"),
    ],
)
def test_a_recipe_that_makes_no_run_leaves_no_folder(recipe: Recipe, changes: dict, sentence: str):
    with pytest.raises(UserError, match=sentence):
        run(replace(recipe, **changes), "pretrain")
    assert not recipe.out.exists()


def test_answers_of_its_own_need_the_whole_model(recipe: Recipe):
    with pytest.raises(UserError, match=r"dpo.rollouts needs the whole model in one process, but there are 2"):
        open_parts(preferences(recipe, dpo=DpoSettings(rollouts=2)), "dpo", Ranks(0, 2, CPU))


def test_a_full_disk_at_the_end(recipe: Recipe, monkeypatch: pytest.MonkeyPatch):
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(published, "write_shards", full)
        with pytest.raises(
            UserError, match=r"cannot write .*model: No space left on device; the last checkpoint is whole"
        ):
            run(recipe, "pretrain")
    assert not (recipe.out / "model").exists()
    assert run(recipe, "pretrain").exists()
