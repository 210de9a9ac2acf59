"""What a model and a recording are, and that it is found out once."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from auricle.conversation import Sampling
from auricle.errors import UserError
from auricle.evaluate import identity
from auricle.evaluate.identity import FileHashes, model_hash
from auricle.evaluate.requests import answer_key
from auricle.evaluate.sample import Sample


@pytest.fixture
def hashes(tmp_path: Path) -> FileHashes:
    return FileHashes(tmp_path / "cache" / "hashes.sqlite")


def test_a_file_is_read_once_until_it_changes(hashes: FileHashes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    paths = [tmp_path / name for name in ("a", "b", "gone")]
    for path in paths[:2]:
        path.write_bytes(path.name.encode() * 10)
    read: list[Path] = []
    digest = identity._digest
    monkeypatch.setattr(identity, "_digest", lambda path: read.append(path) or digest(path))
    told: list[int] = []
    *found, gone = hashes.of(paths, told.append)
    assert found == [hashlib.sha256(b"a" * 10).hexdigest(), hashlib.sha256(b"b" * 10).hexdigest()]
    assert isinstance(gone, UserError)
    assert sorted(read) == paths[:2]
    assert told == sorted(told)
    assert told[-1] == 3
    again = FileHashes(tmp_path / "cache" / "hashes.sqlite")  # another start
    assert again.of(paths[:2]) == found
    assert len(read) == 2
    before = paths[0].stat()
    paths[0].write_bytes(b"c" * 10)
    os.utime(paths[0], ns=(before.st_atime_ns, before.st_mtime_ns))  # the size and the time that it had
    assert again.of(paths[:2]) == [hashlib.sha256(b"c" * 10).hexdigest(), found[1]]


def test_a_model_is_its_files_wherever_they_lie(hashes: FileHashes, checkpoint_dir: Path, tmp_path: Path):
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint_dir, copy)
    (copy / "README.md").write_text("words about it")
    assert model_hash(copy, hashes) == model_hash(checkpoint_dir, hashes)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "generation_config.json"])
def test_another_byte_in_what_decides_answers_is_another_model(
    name: str, hashes: FileHashes, checkpoint_dir: Path, tmp_path: Path
):
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint_dir, copy)
    (copy / name).write_bytes((copy / name).read_bytes() + b" ")
    assert model_hash(copy, hashes) != model_hash(checkpoint_dir, hashes)


def test_the_files_of_a_quantised_model_and_its_template_decide_too(
    hashes: FileHashes, checkpoint_dir: Path, tmp_path: Path
):
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint_dir, copy)
    found = {model_hash(copy, hashes)}
    for name in ("quantization.json", "chat_template.jinja", "merges.txt"):
        (copy / name).write_text("{}")
        found.add(model_hash(copy, hashes))
    assert len(found) == 4


def test_a_directory_without_a_model_is_refused(hashes: FileHashes, tmp_path: Path):
    with pytest.raises(UserError, match=r"holds no model: expected config\.json and weights"):
        model_hash(tmp_path, hashes)


def test_every_fact_of_an_answer_is_in_its_key_and_no_path():
    def key(*, prompt: str = "What?", recording: str = "r", who: str = "w", form: str = "raw", **sampling: int) -> str:
        sample = Sample("a", "d", "d", "asr", Path("/anywhere"), prompt, "text")
        return answer_key(sample, recording, identity=who, sampling=Sampling(**sampling), form=form)

    keys = {
        *(key(), key(prompt="Who?"), key(recording="s"), key(who="x"), key(form="chat")),
        *(key(max_new_tokens=5), key(min_new_tokens=1), key(repetition_penalty=2), key(num_beams=2), key(seed=1)),
    }
    assert len(keys) == 10


def test_a_model_without_prompts_is_asked_by_task_and_language():
    def key(**change: str) -> str:
        fields = {"language": "fr", "target_language": "en", "task": "translation", "prompt": "What?"} | change
        sample = Sample("a", "d", "d", audio=Path("x"), reference="", **fields)
        return answer_key(sample, "r", identity="w", sampling=Sampling(), form="none")

    assert key() == key(prompt="Who?")
    assert len({key(), key(language="es"), key(target_language="de"), key(task="asr")}) == 4
