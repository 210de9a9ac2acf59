"""Where a model's files are looked for, and what is said when they are not there."""

from pathlib import Path

import huggingface_hub
import pytest

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

    def snapshot_download(hub_id: str, *, revision: str | None, **_: object) -> str:
        asked.append(f"{hub_id} {revision}")
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


@pytest.mark.parametrize(
    "name", ["maxi", "mini@main", "./no/such/dir", "/no/such", "a/b/c", "Qwen/", "two words/x", "a" * 300]
)
def test_an_unknown_name_is_refused_without_asking_the_hub(name: str, downloads: list[str]):
    sentence = refusal(name)
    assert sentence.startswith(f"unknown model {name!r}: expected mini, a directory, or a hub id such as")
    assert not downloads


def test_a_hub_id_is_downloaded(tmp_path: Path, downloads: list[str]):
    assert locate("Qwen/Qwen2-Audio-7B-Instruct") == tmp_path / "snapshot"
    assert downloads == ["Qwen/Qwen2-Audio-7B-Instruct None"]


def test_a_revision_in_either_place(downloads: list[str]):
    locate("Qwen/Qwen2-Audio-7B@refs/pr/1")
    locate("Qwen/Qwen2-Audio-7B", "v1.0")
    locate("Qwen/Qwen2-Audio-7B@v1.0", "v1.0")
    assert downloads == [f"Qwen/Qwen2-Audio-7B {revision}" for revision in ("refs/pr/1", "v1.0", "v1.0")]


def test_two_revisions_contradict(downloads: list[str]):
    with pytest.raises(UserError, match=r"names revision 'main', but revision 'v1\.0' was asked for; give one"):
        locate("Qwen/Qwen2-Audio-7B@main", "v1.0")
    assert not downloads


@pytest.mark.parametrize("name", ["mini", "."])
def test_a_revision_needs_a_hub_id(name: str, downloads: list[str]):
    with pytest.raises(UserError, match=r"revision 'main' is for a hub id, but .* is none; leave it out"):
        locate(name, "main")
    assert not downloads
