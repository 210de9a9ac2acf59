"""Hub ids through the real client, against a hub of our own on this machine and a cache laid out by hand."""

import errno
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from auricle.errors import UserError
from auricle.weights import locate, read_checkpoint

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ID = "owner/tiny"
EXTRAS = ("pytorch_model.bin", "training_args.pt", "original/model.safetensors", "onnx/config.json", "LICENSE", "x.png")


@dataclass
class Hub:
    """One repository with a branch `main`; `refusal` is the code that every request is refused with."""

    files: dict[str, bytes]
    refusal: tuple[int, str] | None = None
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers, body: the part of the hub's interface that a download uses."""
        self.asked.append(path)
        path, _, _ = path.partition("?")
        if not path.removeprefix("/api/models").startswith(f"/{ID}"):
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        if self.refusal:
            return self.refusal[0], {"X-Error-Code": self.refusal[1]}, b""
        if path == f"/api/models/{ID}/revision/main":
            return 200, {}, json.dumps({"id": ID, "sha": COMMIT, "siblings": []}).encode()
        if path == f"/api/models/{ID}/tree/{COMMIT}":
            sizes = {name: len(data) for name, data in self.files.items()}
            listed = [{"type": "file", "oid": oid(name), "size": size, "path": name} for name, size in sizes.items()]
            return 200, {}, json.dumps(listed).encode()
        name = path.removeprefix(f"/{ID}/resolve/{COMMIT}/")
        if name in self.files:
            return 200, {"ETag": f'"{oid(name)}"', "X-Repo-Commit": COMMIT}, self.files[name]
        return 404, {"X-Error-Code": "RevisionNotFound"}, b""


def oid(name: str) -> str:
    return name.encode().hex().ljust(40, "0")[:40]


@pytest.fixture
def hub(checkpoint_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The client is pointed at it, with an empty cache."""
    files = {path.name: path.read_bytes() for path in checkpoint_dir.iterdir()}
    hub = Hub(files | dict.fromkeys(EXTRAS, b"{}"))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = hub.answer(self.path)
            self.send_response(status)
            for key, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()


def refusal(name: str, revision: str | None = None) -> str:
    with pytest.raises(UserError) as caught:
        locate(name, revision)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_only_the_files_we_need_are_downloaded(hub: Hub, checkpoint_dir: Path):
    directory = locate(ID)
    found = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    assert found == {path.name for path in checkpoint_dir.iterdir()} | {"LICENSE"}
    checkpoint = read_checkpoint(directory, dtype=torch.float32, device=torch.device("cpu"))
    ours = read_checkpoint(checkpoint_dir, dtype=torch.float32, device=torch.device("cpu"))
    for name, tensor in ours.model.state_dict().items():
        assert tensor.equal(checkpoint.model.state_dict()[name]), name


def test_a_commit_is_a_revision(hub: Hub):
    assert locate(f"{ID}@{COMMIT}") == locate(ID, COMMIT) == locate(ID) == locate(f"{ID}@main")


def test_what_was_downloaded_once_is_there_offline(hub: Hub, monkeypatch: pytest.MonkeyPatch):
    directory = locate(ID)
    hub.refusal = (503, "")
    assert locate(ID) == directory
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(hub.asked)
    assert locate(ID) == directory
    assert len(hub.asked) == asked


def test_offline_a_licence_may_be_missing_but_no_weights(hub: Hub, monkeypatch: pytest.MonkeyPatch):
    directory = locate(ID)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    (directory / "LICENSE").unlink()
    assert locate(ID) == directory
    (directory / "model.safetensors").unlink()
    assert "the model is not whole in the local cache" in refusal(ID)


def test_a_cache_that_another_program_laid_out(hub: Hub, checkpoint_dir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in refusal(ID)
    folder = Path(constants.HF_HUB_CACHE) / "models--owner--tiny"
    shutil.copytree(checkpoint_dir, folder / "snapshots" / COMMIT)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    assert locate(ID) == folder / "snapshots" / COMMIT
    assert "HF_HUB_OFFLINE is set" in refusal(ID, "v2")
    assert not hub.asked


def test_no_such_repository(hub: Hub):
    assert refusal("owner/other").startswith("no model owner/other on the hub and no such directory; check the name")
    assert refusal("owner/-.other").startswith("no model owner/-.other on the hub and no such directory")


def test_no_such_revision(hub: Hub):
    sentence = f"{ID} has no revision 'v9' on the hub; expected a branch, tag or commit of it"
    assert refusal(ID, "v9") == refusal(f"{ID}@v9") == sentence


def test_a_gated_repository(hub: Hub):
    hub.refusal = (403, "GatedRepo")
    sentence = refusal(ID)
    assert sentence.startswith(f"{ID} asks its users to accept a licence: accept it at {constants.ENDPOINT}/{ID}")
    assert sentence.endswith("then log in with `hf auth login`")


@pytest.mark.parametrize("status", [500, 429])
def test_a_hub_that_is_down(hub: Hub, status: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.sleep", lambda _: None)  # the client tries a few times
    hub.refusal = (status, "")
    sentence = refusal(ID)
    assert sentence.startswith(f"cannot download {ID}: the hub was not reached (asked {constants.ENDPOINT}) and the")
    assert sentence.endswith(f"local cache {constants.HF_HUB_CACHE}; connect once and run again, or give a directory")


def test_no_hub_at_all(hub: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr("time.sleep", lambda _: None)
    assert "the hub was not reached (asked http://127.0.0.1:1)" in refusal(ID)


def test_no_space_left(hub: Hub, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object, **__: object) -> Callable[..., None]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    sentence = f"no space left for {ID} in {constants.HF_HUB_CACHE}; free some, or set HF_HOME to another disk"
    assert refusal(ID) == sentence
