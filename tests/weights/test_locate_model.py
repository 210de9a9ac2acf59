"""Where a model's files are looked for, and what is said when they are not there."""

from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from auricle.errors import UserError
from auricle.weights import locate


def refusal(name: str | Path) -> str:
    with pytest.raises(UserError) as caught:
        locate(name)
    return str(caught.value)


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Every hub id that was asked for; nothing is fetched."""
    asked: list[str] = []

    def snapshot_download(hub_id: str, *, allow_patterns: list[str]) -> str:
        assert "*.safetensors" in allow_patterns
        asked.append(hub_id)
        return str(tmp_path / "snapshot")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return asked


def test_mini_lies_in_the_package():
    assert locate("mini").parts[-3:] == ("auricle", "assets", "mini")


def test_a_directory_is_itself(tmp_path: Path, downloads: list[str]):
    assert locate(tmp_path) == locate(str(tmp_path)) == tmp_path
    assert not downloads


def test_a_directory_is_preferred_to_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, downloads: list[str]):
    (tmp_path / "Qwen" / "Mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert locate("Qwen/Mine") == Path("Qwen/Mine")
    assert not downloads


def test_a_file_is_refused(tmp_path: Path, downloads: list[str]):
    path = tmp_path / "model.safetensors"
    path.touch()
    assert "is a file, expected a checkpoint directory" in refusal(path)
    assert not downloads


@pytest.mark.parametrize("name", ["maxi", "./no/such/dir", "/no/such", "a/b/c", "Qwen/", "two words/x", "a" * 300])
def test_an_unknown_name_is_refused_without_asking_the_hub(name: str, downloads: list[str]):
    sentence = refusal(name)
    assert sentence.startswith(f"unknown model {name!r}: expected mini, a directory, or a hub id such as")
    assert not downloads


def test_a_hub_id_is_downloaded(tmp_path: Path, downloads: list[str]):
    assert locate("Qwen/Qwen2-Audio-7B-Instruct") == tmp_path / "snapshot"
    assert downloads == ["Qwen/Qwen2-Audio-7B-Instruct"]


def raising(error: Exception):
    def snapshot_download(hub_id: str, *, allow_patterns: list[str]) -> str:
        raise error

    return snapshot_download


@pytest.mark.parametrize("error", [LocalEntryNotFoundError("offline"), OSError("no route"), ConnectionError("refused")])
def test_offline(monkeypatch: pytest.MonkeyPatch, error: Exception):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", raising(error))
    sentence = refusal("Qwen/Qwen2-Audio-7B")
    assert sentence.startswith("cannot download Qwen/Qwen2-Audio-7B: the hub was not reached and the model is not in")
    assert "connect once, or give a directory" in sentence


def test_no_such_repository(monkeypatch: pytest.MonkeyPatch):
    from huggingface_hub.errors import RepositoryNotFoundError

    error = RepositoryNotFoundError.__new__(RepositoryNotFoundError)  # its constructor wants a whole HTTP response
    monkeypatch.setattr(huggingface_hub, "snapshot_download", raising(error))
    assert refusal("Qwen/Nope") == "no model Qwen/Nope on the hub and no such directory; check the name"
