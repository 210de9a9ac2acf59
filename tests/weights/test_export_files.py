"""The exported directory itself: shards, dtypes, what is carried over, and that it is whole or not there."""

import json
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from auricle.errors import UserError
from auricle.model import Qwen2Audio
from auricle.weights import export, export_checkpoint, published, read_checkpoint, read_model, shards, write_packed
from auricle.weights.config_json import config_to_json
from auricle.weights.stored import StoredState

Make = Callable[..., Qwen2Audio]
CPU = torch.device("cpu")
HEAD, EMBEDDINGS = "language_model.lm_head.weight", "language_model.model.embed_tokens.weight"


@pytest.fixture
def copy(checkpoint_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint_dir, tmp_path / "copy"))


def test_it_reads_back_bit_for_bit(checkpoint_dir: Path, tmp_path: Path):
    export_checkpoint(checkpoint_dir, tmp_path / "out")
    again = read_checkpoint(tmp_path / "out", dtype=torch.float32, device=CPU)
    first = read_checkpoint(checkpoint_dir, dtype=torch.float32, device=CPU)
    assert (again.stop_ids, again.pad_id, again.defaults) == (first.stop_ids, first.pad_id, first.defaults)
    assert again.model.config == first.model.config
    for name, tensor in first.model.state_dict().items():
        assert tensor.equal(again.model.state_dict()[name]), name


def test_a_tied_head_is_written_out(tiny_model: Make, write_checkpoint: Callable[..., Path], tmp_path: Path):
    source = write_checkpoint(tiny_model(tied_head=True), tmp_path / "tied")
    export_checkpoint(source, tmp_path / "out")
    stored = load_file(tmp_path / "out" / "model.safetensors")
    assert stored[HEAD].equal(stored[EMBEDDINGS])
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["tie_word_embeddings"] is config["text_config"]["tie_word_embeddings"] is False
    assert not read_model(tmp_path / "out", dtype=torch.float32, device=CPU).config.text.tied_head


def test_packed_parameters_are_unpacked(tiny_model: Make, write_checkpoint: Callable[..., Path], tmp_path: Path):
    model = tiny_model(width=64, mlp_width=128, head_width=16, tied_head=True)
    source = write_checkpoint(model, tmp_path / "packed")
    (source / "model.safetensors").unlink()
    write_packed(dict(model.named_parameters()), {EMBEDDINGS: "int4"}, source, max_shard_bytes=10**9)
    (source / "config.json").write_text(json.dumps(config_to_json(model.config)))
    export_checkpoint(source, tmp_path / "out")
    assert not (tmp_path / "out" / "quantization.json").exists()
    stored = load_file(tmp_path / "out" / "model.safetensors")
    unpacked = read_model(source, dtype=torch.bfloat16, device=CPU).state_dict()
    assert stored.keys() == unpacked.keys()
    for name, tensor in unpacked.items():
        assert stored[name].equal(tensor), name


def test_shards_and_their_index(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(published, "MAX_SHARD_BYTES", 20_000)
    export_checkpoint(copy, tmp_path / "out")
    shards = {path.name: load_file(path) for path in (tmp_path / "out").glob("*.safetensors")}
    assert len(shards) > 2
    assert all(name.endswith(f"-of-{len(shards):05d}.safetensors") for name in shards)
    sizes = {name: sum(tensor.nbytes for tensor in shard.values()) for name, shard in shards.items()}
    assert all(size <= 20_000 for name, size in sizes.items() if len(shards[name]) > 1)
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    assert index["weight_map"] == {key: name for name, shard in shards.items() for key in shard}
    assert index["metadata"]["total_size"] == sum(sizes.values())
    ours = read_model(copy, dtype=torch.float32, device=CPU).state_dict()
    for name, tensor in read_model(tmp_path / "out", dtype=torch.float32, device=CPU).state_dict().items():
        assert tensor.equal(ours[name]), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_dtype(dtype: torch.dtype, checkpoint_dir: Path, tmp_path: Path):
    export_checkpoint(checkpoint_dir, tmp_path / "out", dtype=dtype)
    assert {tensor.dtype for tensor in load_file(tmp_path / "out" / "model.safetensors").values()} == {dtype}
    assert json.loads((tmp_path / "out" / "config.json").read_text())["torch_dtype"] == str(dtype)[6:]


def test_licences_and_settings_are_carried_over(copy: Path, tmp_path: Path):
    generation = {"do_sample": True, "top_k": 3, "eos_token_id": 5, "repetition_penalty": 1.1}
    (copy / "generation_config.json").write_text(json.dumps(generation))
    (copy / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>", "chat_template": "other"}))
    (copy / "licences").mkdir()
    carried = {"LICENSE": "Apache", "NOTICE.txt": "whose", "README.md": "card", "licences/MIT.txt": "MIT"}
    for name, text in carried.items():
        (copy / name).write_text(text)
    (copy / "notes.txt").write_text("private")
    out = tmp_path / "out"
    export_checkpoint(copy, out)
    assert {name: (out / name).read_text() for name in carried} == carried
    assert json.loads((out / "generation_config.json").read_text()) == generation
    assert json.loads((out / "tokenizer_config.json").read_text()) == {"eos_token": "<|im_end|>"}
    assert (out / "tokenizer.json").read_bytes() == (copy / "tokenizer.json").read_bytes()
    assert not (out / "notes.txt").exists()
    assert (out / "config.json").stat().st_mode & 0o777 == (out / "model.safetensors").stat().st_mode & 0o777


def test_what_was_missing_is_written(checkpoint_dir: Path, tmp_path: Path):
    copy = Path(shutil.copytree(checkpoint_dir, tmp_path / "copy"))
    (copy / "generation_config.json").unlink()
    export_checkpoint(copy, tmp_path / "out")
    front_end = json.loads((tmp_path / "out" / "preprocessor_config.json").read_text())
    assert (front_end["feature_size"], front_end["nb_max_frames"], front_end["n_samples"]) == (16, 3000, 480_000)
    end_id = read_checkpoint(copy, dtype=torch.float32, device=CPU).tokenizer.special("<|im_end|>")
    generation = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert generation == {"eos_token_id": [end_id], "pad_token_id": end_id}


def test_a_directory_that_holds_something_is_refused(checkpoint_dir: Path, tmp_path: Path):
    (tmp_path / "mine.txt").write_text("keep")
    for out in (tmp_path, tmp_path / "mine.txt", checkpoint_dir):
        with pytest.raises(UserError, match="is not empty; name a new directory"):
            export_checkpoint(checkpoint_dir, out)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_directory_is_taken(checkpoint_dir: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    export_checkpoint(checkpoint_dir, tmp_path / "out")
    assert (tmp_path / "out" / "config.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_source_that_is_not_whole_leaves_nothing(copy: Path, tmp_path: Path):
    for name, sentence in (("model.safetensors", "no weights in"), ("tokenizer.json", r"no tokenizer\.json in")):
        (copy / name).unlink()
        with pytest.raises(UserError, match=sentence):
            export_checkpoint(copy, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


@pytest.mark.parametrize("moment", ["write_shards", "complete", "config_to_json"])
def test_stopped_at_any_moment_it_leaves_nothing(
    moment: str, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def interrupt(*_: object, **__: object) -> None:
        assert not (tmp_path / "out").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(published, moment, interrupt)
    with pytest.raises(KeyboardInterrupt):
        export_checkpoint(copy, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_no_space_is_noticed_before_anything_is_written(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 5, 5))
    monkeypatch.setattr(published, "write_shards", lambda *_, **__: pytest.fail("it was written"))
    with pytest.raises(UserError, match=r"out needs 0\.0 GB but its disk has 0\.0; free some"):
        export_checkpoint(copy, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_memory_holds_one_shard(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """When a parameter is read, those of earlier shards are gone and none of a later one has been read."""
    events: list[str] = []
    written: list[weakref.ref[torch.Tensor]] = []
    plain, save = export._read, shards.save_file

    def read(stored: StoredState, name: str, dtype: torch.dtype) -> torch.Tensor:
        assert not any(tensor() is not None for tensor in written)
        events.append(name)
        return plain(stored, name, dtype)

    def write(tensors: dict[str, torch.Tensor], *arguments: Any, **settings: Any) -> None:
        events.append("saved")
        written.extend(weakref.ref(tensor) for tensor in tensors.values())
        save(tensors, *arguments, **settings)

    monkeypatch.setattr(published, "MAX_SHARD_BYTES", 5_000)
    monkeypatch.setattr(export, "_read", read)
    monkeypatch.setattr(shards, "save_file", write)
    export_checkpoint(copy, tmp_path / "out", dtype=torch.float16)
    assert events.count("saved") > 5
    held = [load_file(path).keys() for path in sorted((tmp_path / "out").glob("*.safetensors"))]
    runs = " ".join(events).split("saved")[:-1]
    assert [set(run.split()) for run in runs] == [set(names) for names in held]
