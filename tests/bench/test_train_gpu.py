"""The GPU bench's own program, at a shape that a CPU can turn: both sides learn from the same samples."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "train_gpu.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("train_gpu", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_measures_both_sides_of_both_ways(bench, tmp_path, monkeypatch, capsys):
    arguments = ["--shape", "small", "--device", "cpu", "--rounds", "1", "--samples", "4", "--tokens", "1024"]
    monkeypatch.setattr(sys, "argv", ["train_gpu.py", *arguments, "--out", str(tmp_path / "figures.json")])
    bench.main()
    figures = json.loads((tmp_path / "figures.json").read_text())
    for way in ("lora", "projector"):
        for side in ("packed", "padded"):
            assert figures[way][side]["tokens_per_s"] == pytest.approx(
                figures[way]["tokens"] / figures[way][side]["seconds"][0]
            )
    assert capsys.readouterr().out.count("mfu") == 4


def test_both_sides_have_the_same_loss(bench):
    import numpy as np
    import torch

    config = bench.SHAPES["small"]
    model = bench.random_model(config, torch.device("cpu")).float()
    model.multi_modal_projector.requires_grad_(True)
    made = bench.samples(config, 3, np.random.default_rng(0))
    gradients = []
    for side in (bench.packed_side, bench.padded_side):
        [step] = side(model, made, torch.device("cpu"), 10_000)
        step()
        gradients.append(model.multi_modal_projector.linear.weight.grad.clone())
        model.zero_grad()
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-3)


def test_the_7b_has_the_published_shape(bench):
    from auricle.model import outline

    assert sum(parameter.numel() for parameter in outline(bench.SHAPES["7b"]).parameters()) == 8_397_094_912
