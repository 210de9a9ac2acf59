"""A checkpoint directory read strictly: bit for bit what was written, and every misfit named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from auricle.errors import UserError
from auricle.model import Qwen2Audio
from auricle.weights import read_checkpoint, read_config, read_model, write_model
from auricle.weights.names import from_nested, to_nested

Make = Callable[..., Qwen2Audio]
CPU = torch.device("cpu")
HEAD, EMBEDDINGS = "language_model.lm_head.weight", "language_model.model.embed_tokens.weight"


def read(directory: Path, dtype: torch.dtype = torch.float32) -> Qwen2Audio:
    return read_model(directory, dtype=dtype, device=CPU)


def change(directory: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Rewrite the weights of a directory."""
    state = {name: tensor.clone() for name, tensor in load_file(directory / "model.safetensors").items()}
    edit(state)
    save_file(state, directory / "model.safetensors")


def refusal(directory: Path) -> str:
    with pytest.raises(UserError) as caught:
        read(directory)
    return str(caught.value)


@pytest.fixture
def copy(checkpoint_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint_dir, tmp_path / "copy"))


@pytest.mark.parametrize("tied_head", [False, True])
@pytest.mark.parametrize("num_kv_heads", [2, 4])
def test_what_is_written_is_read_bit_for_bit(tied_head: bool, num_kv_heads: int, tiny_model: Make, tmp_path: Path):
    model = tiny_model(tied_head=tied_head, num_kv_heads=num_kv_heads)
    write_model(model, tmp_path)
    again = read(tmp_path)
    assert again.config == model.config
    assert again.state_dict().keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert tensor.equal(again.state_dict()[name]), name
    assert not again.training
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_a_tied_head_is_written_once_and_tied_again(tiny_model: Make, tmp_path: Path):
    write_model(tiny_model(tied_head=True), tmp_path)
    assert HEAD not in load_file(tmp_path / "model.safetensors")
    again = read(tmp_path)
    assert again.language_model.lm_head.weight is again.language_model.model.embed_tokens.weight


def test_a_repeated_tied_head_must_agree(tiny_model: Make, tmp_path: Path):
    write_model(tiny_model(tied_head=True), tmp_path)
    change(tmp_path, lambda state: state.update({HEAD: state[EMBEDDINGS].clone()}))
    assert read(tmp_path).language_model.lm_head.weight is not None
    change(tmp_path, lambda state: state.update({HEAD: state[EMBEDDINGS] + 1}))
    assert "config.json ties the head to the embeddings but" in refusal(tmp_path)


def test_missing_tensor_is_named(copy: Path):
    name = "language_model.model.layers.1.mlp.up_proj.weight"
    change(copy, lambda state: state.pop(name))
    assert refusal(copy) == f"tensors in {copy} do not fit its config.json: missing {name}; fetch both from one place"


def test_missing_embeddings_of_a_tied_model(tiny_model: Make, tmp_path: Path):
    write_model(tiny_model(tied_head=True), tmp_path)
    change(tmp_path, lambda state: state.pop(EMBEDDINGS))
    assert f"missing {EMBEDDINGS}" in refusal(tmp_path)


def test_unexpected_tensor_is_named(copy: Path):
    change(copy, lambda state: state.update({"audio_tower.extra.weight": torch.zeros(1)}))
    assert refusal(copy).endswith(": unexpected audio_tower.extra.weight; fetch both from one place")


def test_tensor_of_another_shape_is_named(copy: Path):
    name = "multi_modal_projector.linear.weight"
    change(copy, lambda state: state.update({name: torch.zeros(16, 32)}))
    assert refusal(copy).endswith(f"{name} has shape (16, 32), expected (32, 16); fetch both from one place")


def test_many_misfits_are_counted(copy: Path):
    change(copy, lambda state: [state.pop(name) for name in list(state) if name.startswith("audio_tower.layers.0.")])
    assert refusal(copy).count("missing") == 3
    assert "and 12 more" in refusal(copy)


def test_the_nested_spelling_is_read_too(copy: Path, tiny_model: Make):
    names = list(load_file(copy / "model.safetensors"))

    def rename(state: dict[str, torch.Tensor]) -> None:
        for name in names:
            state[to_nested(name)] = state.pop(name)

    change(copy, rename)
    nested = set(load_file(copy / "model.safetensors"))
    assert "lm_head.weight" in nested
    assert "model.language_model.embed_tokens.weight" in nested
    assert not nested.intersection(names)
    for name, tensor in tiny_model().state_dict().items():
        assert tensor.equal(read(copy).state_dict()[name]), name


def test_spellings_are_a_bijection(tiny_model: Make):
    names = list(tiny_model().state_dict())
    assert [from_nested(to_nested(name)) for name in names] == names
    assert [from_nested(name) for name in names] == names
    assert len({to_nested(name) for name in names}) == len(names)


def test_damaged_file(copy: Path):
    path = copy / "model.safetensors"
    for damage in (path.read_bytes()[:-1000], b"no tensors here"):
        path.write_bytes(damage)
        assert f"{path} is damaged: " in (sentence := refusal(copy))
        assert sentence.endswith("; fetch it again")


def test_no_weights(copy: Path):
    (copy / "model.safetensors").unlink()
    assert f"no weights in {copy}: expected model.safetensors" in refusal(copy)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin"])
def test_only_pickled_weights(name: str, copy: Path):
    (copy / "model.safetensors").rename(copy / name)
    sentence = refusal(copy)
    assert f"no weights in {copy}" in sentence
    assert "found PyTorch .bin files; convert older .bin files with transformers' `save_pretrained`" in sentence


def shard(directory: Path) -> list[str]:
    state = load_file(directory / "model.safetensors")
    names = sorted(state)
    files = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, held in files.items():
        save_file({name: state[name].clone() for name in held}, directory / file)
    weight_map = {name: file for file, held in files.items() for name in held}
    (directory / "model.safetensors").unlink()
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return names


def test_shards_are_joined_and_a_missing_one_is_named(copy: Path, tiny_model: Make):
    shard(copy)
    for name, tensor in tiny_model().state_dict().items():
        assert tensor.equal(read(copy).state_dict()[name]), name
    (copy / "b.safetensors").unlink()
    assert f"b.safetensors is missing in {copy} but model.safetensors.index.json names it" in refusal(copy)


@pytest.mark.parametrize("index", ["", "{", "{}", "[]"])
def test_damaged_index(copy: Path, index: str):
    shard(copy)
    (copy / "model.safetensors.index.json").write_text(index)
    assert "model.safetensors.index.json is damaged: " in (sentence := refusal(copy))
    assert sentence.endswith("; fetch it again")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="asks Linux which memory is a file's")
def test_float32_weights_stay_in_the_file(checkpoint_dir: Path):
    """Loading copies nothing: every parameter lies inside the mapping of model.safetensors."""
    model = read(checkpoint_dir)
    path = str(checkpoint_dir / "model.safetensors")
    mapped = [line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines() if path in line]
    ranges = [range(int(start, 16), int(end, 16)) for start, end in mapped]

    def lies_in_the_file(each: Qwen2Audio) -> list[bool]:
        return [any(p.data_ptr() in part for part in ranges) for p in each.parameters()]

    assert all(lies_in_the_file(model))
    assert not any(lies_in_the_file(read(checkpoint_dir, torch.bfloat16)))


def test_dtype_is_what_was_asked_for(checkpoint_dir: Path):
    assert {p.dtype for p in read(checkpoint_dir, torch.bfloat16).parameters()} == {torch.bfloat16}


def test_stop_and_pad_ids(copy: Path):
    def ids() -> tuple[frozenset[int], int]:
        checkpoint = read_checkpoint(copy, dtype=torch.float32, device=CPU)
        return checkpoint.stop_ids, checkpoint.pad_id

    tokenizer = read_checkpoint(copy, dtype=torch.float32, device=CPU).tokenizer
    end, pad = tokenizer.special("<|im_end|>"), tokenizer.special("<|endoftext|>")
    path = copy / "generation_config.json"
    assert ids() == ({end, pad}, pad)
    path.write_text(json.dumps({"eos_token_id": pad}))
    assert ids() == ({end, pad}, end)
    path.write_text("{}")
    assert ids() == ({end}, end)
    path.unlink()
    assert ids() == ({end}, end)
    path.write_text("{")
    with pytest.raises(
        UserError, match=r"generation_config\.json is not valid JSON: .+; correct it, or fetch it again"
    ):
        ids()


def test_a_config_that_cannot_be_read(tmp_path: Path):
    (tmp_path / "config.json").mkdir()
    with pytest.raises(
        UserError, match=r"cannot read .*config\.json: Is a directory; expected a file that may be read"
    ):
        read_config(tmp_path)


def test_directory_without_config(tmp_path: Path):
    with pytest.raises(UserError, match=r"no config\.json in .*; expected a checkpoint directory"):
        read_config(tmp_path)
