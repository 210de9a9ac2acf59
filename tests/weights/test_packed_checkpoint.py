"""A quantised checkpoint: read without full-precision weights, close to them, refused where it is incomplete."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from auricle.errors import UserError
from auricle.model import Qwen2Audio
from auricle.quant import pack_groups, pack_rows
from auricle.quant.pack import GROUP_COLUMNS
from auricle.weights import read_model, write_packed
from auricle.weights.config_json import config_to_json

Make = Callable[..., Qwen2Audio]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(tiny_model: Make) -> Qwen2Audio:
    return tiny_model(width=64, mlp_width=128, head_width=16, tied_head=True)


@pytest.fixture(scope="module")
def schemes(model: Qwen2Audio) -> dict[str, str]:
    """int8 for what has no whole groups of columns, int4 and int5 in turn for the rest."""
    names: dict[str, str] = {}
    for name, tensor in model.state_dict().items():
        if tensor.ndim == 2 and name != "language_model.lm_head.weight":
            names[name] = "int8" if tensor.shape[1] % GROUP_COLUMNS else f"int{4 + len(names) % 2}"
    return names


@pytest.fixture(scope="module")
def packed(model: Qwen2Audio, schemes: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("packed") / "model"
    state = {name: tensor for name, tensor in model.state_dict().items() if name != "language_model.lm_head.weight"}
    write_packed(state, schemes, directory, max_shard_bytes=20_000)  # type: ignore[arg-type]
    (directory / "config.json").write_text(json.dumps(config_to_json(model.config)))
    return directory


@pytest.fixture
def copy(packed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(packed, tmp_path / "copy"))


def refusal(directory: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_model(directory, dtype=torch.float32, device=CPU)
    return str(caught.value)


def test_every_scheme_is_there(schemes: dict[str, str]):
    assert set(schemes.values()) == {"int8", "int5", "int4"}


def test_files_hold_no_full_precision_weight(packed: Path, schemes: dict[str, str]):
    stored = {name: tensor for path in packed.glob("*.safetensors") for name, tensor in load_file(path).items()}
    assert not schemes.keys() & stored.keys()
    assert {tensor.dtype for tensor in stored.values()} == {torch.int8, torch.uint8, torch.float16, torch.bfloat16}


def test_values_are_within_half_a_step(packed: Path, model: Qwen2Audio, schemes: dict[str, str]):
    restored = read_model(packed, dtype=torch.float32, device=CPU).state_dict()
    for name, original in model.state_dict().items():
        scheme = schemes.get(name)
        if scheme == "int8":
            half_a_step = pack_rows(original).scale.float() / 2
            assert ((restored[name] - original).abs() <= half_a_step * 1.001).all(), name
        elif scheme in ("int4", "int5"):
            step = pack_groups(original, bits=int(scheme[-1])).scale.float().repeat_interleave(GROUP_COLUMNS, dim=1)
            rounding = original.abs().amax() * 2**-9  # of a group's ends to float16
            assert ((restored[name] - original).abs() <= step * 0.501 + rounding).all(), name
    assert len(restored) == len(model.state_dict())


def test_what_is_not_packed_is_bfloat16(packed: Path, model: Qwen2Audio, schemes: dict[str, str]):
    restored = read_model(packed, dtype=torch.float32, device=CPU).state_dict()
    plain = [name for name in model.state_dict() if name not in schemes and not name.endswith("lm_head.weight")]
    assert plain
    for name in plain:
        assert restored[name].equal(model.state_dict()[name].bfloat16().float()), name


def test_tied_head_is_the_unpacked_table(packed: Path):
    language_model = read_model(packed, dtype=torch.bfloat16, device=CPU).language_model
    assert language_model.lm_head.weight is language_model.model.embed_tokens.weight
    assert language_model.lm_head.weight.dtype == torch.bfloat16


def test_no_shard_is_larger_than_allowed(packed: Path):
    shards = [load_file(path) for path in sorted(packed.glob("*.safetensors"))]
    assert len(shards) > 1
    assert all(sum(tensor.nbytes for tensor in shard.values()) <= 20_000 for shard in shards if len(shard) > 1)


def test_unknown_format(copy: Path):
    path = copy / "quantization.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": "auricle-packed-9"}))
    assert "has format 'auricle-packed-9', expected 'auricle-packed-1'" in refusal(copy)


def test_unknown_scheme(copy: Path, schemes: dict[str, str]):
    path = copy / "quantization.json"
    name = next(iter(schemes))
    path.write_text(json.dumps({"format": "auricle-packed-1", "tensors": schemes | {name: "int3"}}))
    assert f"{name} is packed as 'int3', expected int8, int5 or int4" in refusal(copy)


def test_quantization_json_without_tensors(copy: Path):
    (copy / "quantization.json").write_text('{"format": "auricle-packed-1"}')
    assert "do not fit its config.json: missing audio_tower" in refusal(copy)


@pytest.mark.parametrize("part", ["codes", "scale", "offset"])
def test_missing_part_is_named(copy: Path, schemes: dict[str, str], part: str):
    name = next(name for name, scheme in schemes.items() if scheme == "int4")
    for path in copy.glob("*.safetensors"):
        kept = {key: tensor.clone() for key, tensor in load_file(path).items() if key != f"{name}.{part}"}
        save_file(kept, path)
    assert f"names {name} but {name}.{part} is missing" in refusal(copy)
