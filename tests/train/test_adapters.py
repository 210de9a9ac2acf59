"""Runs with adapters: what they refuse and tell, DPO's reference, the model and the adapter that they leave."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import toy
from safetensors.torch import load_file

from auricle.data.settings import DataSettings, SourceSettings
from auricle.errors import UserError
from auricle.extend import LoraSettings
from auricle.settings import to_tree
from auricle.train.adapters import check_adapters
from auricle.train.distributed import Ranks
from auricle.train.objectives import fingerprint_of, make_objective
from auricle.train.opening import open_parts
from auricle.train.reference import forward
from auricle.train.run import run
from auricle.train.session import extend_model, make_trainee, master_names
from auricle.train.settings import PhaseSettings, Recipe, WatchSettings
from auricle.weights import read_model

CPU = torch.device("cpu")
LORA = LoraSettings(rank=2)
IN_ENCODER = replace(LORA, targets=r"audio_tower\.layers\.0\..*_proj")


def recipe(phase: PhaseSettings, lora: LoraSettings | None = LORA, rounded_bits: int | None = None) -> Recipe:
    return Recipe(out=Path("nowhere"), phases=(phase,), lora=lora, rounded_bits=rounded_bits)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            recipe(PhaseSettings(projector=1e-3)),
            "lora.targets puts adapters into the decoder, but in no phase do they move; give a phase a rate",
        ),
        (
            recipe(PhaseSettings(decoder=1e-3), IN_ENCODER),
            "lora.targets puts adapters into the encoder, but in no phase do they move",
        ),
        (  # the lower of two layers, and only the upper one moves
            recipe(PhaseSettings(encoder=1e-3, encoder_layers=1), IN_ENCODER),
            "lora.targets puts adapters into the encoder, but in no phase do they move",
        ),
        (
            recipe(PhaseSettings(decoder=1e-3), replace(LORA, quantised_bits=8), 4),
            "rounded_bits trains the decoder through rounding and lora.quantised_bits packs it for good; leave one",
        ),
        (
            recipe(PhaseSettings(decoder=1e-3, encoder=1e-3), replace(IN_ENCODER, quantised_bits=8)),
            "lora.quantised_bits packs the decoder, which then cannot be trained in full; let lora.targets name maps",
        ),
        (recipe(PhaseSettings(decoder=1e-3), replace(LORA, targets="none")), "lora.targets 'none' names no linear map"),
    ],
)
def test_settings_that_contradict_each_other(wrong: Recipe, sentence: str):
    with pytest.raises(UserError, match=sentence):
        check_adapters(toy.tiny(), wrong)


@pytest.mark.parametrize(
    ("phase", "lora", "says"),
    [
        (PhaseSettings(projector=1, decoder=1, encoder=1), None, []),
        (PhaseSettings(decoder=1), LORA, []),
        (PhaseSettings(decoder=1, projector=1), LORA, ["the projector has no adapters", "holds it beside them"]),
        (PhaseSettings(decoder=1, projector=1, encoder=1), LORA, ["projector, encoder; no adapter directory"]),
        (PhaseSettings(decoder=1, encoder=1), IN_ENCODER, ["in full, since it has no adapters: decoder; no adapter"]),
    ],
)
def test_a_part_without_adapters_that_moves_is_named(phase: PhaseSettings, lora: LoraSettings | None, says: list[str]):
    notes = check_adapters(toy.tiny(), recipe(phase, lora))
    assert len(notes) == bool(says)
    assert all(words in notes[0] for words in says)


def test_where_a_part_has_adapters_they_alone_move_and_the_other_parts_in_full():
    model, told = (
        toy.tiny(),
        recipe(
            PhaseSettings(decoder=1, encoder=1, encoder_layers=1),
            replace(LORA, targets=r"audio_tower\.layers\.\d\.fc1"),
        ),
    )
    in_full = {name for name, _ in model.named_parameters() if name.startswith("language_model.")}
    extend_model(model, told)
    masters = master_names(model, told)
    adapters = {name for name in masters if name.startswith("audio_tower.")}
    assert adapters == {f"audio_tower.layers.1.fc1.lora_{one}.default.weight" for one in "AB"}
    assert masters - adapters == in_full


@pytest.fixture
def real(tmp_path: Path, checkpoint_dir: Path, recordings: list[Path]) -> Recipe:
    """Preferences about three recordings, four steps; the projector and the decoder's adapters move."""
    turns = [{"role": "user", "content": "<audio>Who?"}, {"role": "assistant", "content": "the quick fox"}]
    lines = [{"messages": turns, "audios": [str(path)], "rejected_response": "no"} for path in recordings]
    (tmp_path / "dpo.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    train = (SourceSettings(tmp_path / "dpo.jsonl"),)
    return Recipe(
        model=str(checkpoint_dir),
        out=tmp_path / "run",
        steps=4,
        device="cpu",
        data=DataSettings(train=train, pack_tokens=150, packs_per_step=2, num_workers=0),
        phases=(PhaseSettings(projector=1e-3, decoder=1e-3),),
        lora=LORA,
        watch=WatchSettings(every=0),
    )


def test_beside_an_encoder_that_moved_no_adapter_is_written_and_the_run_says_so(real: Recipe, capsys):
    real = replace(real, steps=1, phases=(PhaseSettings(decoder=1e-3, encoder=1e-3),))
    run(real, "dpo")
    assert (real.out / "model").exists()
    assert not (real.out / "adapter").exists()
    said = " ".join(capsys.readouterr().err.split())
    assert "trained in full, since it has no adapters: encoder; no adapter directory" in said


@pytest.mark.parametrize("projector", [0.0, 1e-2])
def test_the_reference_stands_whatever_moves(real: Recipe, projector: float):
    phases = (PhaseSettings(projector=projector, decoder=1e-2),)
    opened = open_parts(replace(real, phases=phases), "dpo", Ranks(0, 1, CPU))
    weights = fingerprint_of(opened)
    trainee = make_trainee(opened.checkpoint.model, opened.recipe, opened.ranks)
    opened.recipe.out.mkdir()
    objective = make_objective(opened, trainee, weights)
    pack = next(iter(opened.stream)).packs[0]
    with torch.no_grad():
        start_P = forward(trainee, pack, torch.float32)
        for name, parameter in trainee.model.named_parameters():
            if "lora_B" in name or (projector and name.startswith("multi_modal_projector.")):
                parameter += 0.1
        assert (forward(trainee, pack, torch.float32) - start_P).abs().max() > 0.1
        logged = objective(start_P, pack).logged  # what stood still is no nearer to and no farther from the reference
    assert [logged[f"rewards/{side}"][0] for side in ("chosen", "rejected")] == pytest.approx([0, 0], abs=1e-5)


def adapter_of(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "adapter" / "adapter_model.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("bits", [None, 8])
def test_two_ranks_write_the_model_and_the_adapter_that_one_writes(real: Recipe, bits: int | None):
    one, two = real.out, real.out.parent / "two"
    real = replace(real, lora=replace(LORA, quantised_bits=bits))
    run(real, "dpo")
    settings = real.out.parent / "recipe.yaml"
    settings.write_text(json.dumps(to_tree(replace(real, out=two))))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "auricle.cli.main", "train", "dpo", str(settings)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    models = [dict(read_model(out / "model", dtype=torch.float32, device=CPU).named_parameters()) for out in (one, two)]
    for mine, theirs in (models, [adapter_of(out) for out in (one, two)]):
        assert mine.keys() == theirs.keys()
        for name, tensor in mine.items():
            torch.testing.assert_close(theirs[name], tensor, atol=2e-4, rtol=1e-3, msg=name)
    assert any("projector" in name for name in adapter_of(two))
