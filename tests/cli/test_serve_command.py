"""`auricle serve`: what it refuses in one sentence, and that it runs."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from auricle.serve import run
from auricle.serve.settings import ServeSettings

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ServeSettings, dict[str, Any]]]:
    """What the command hands on, instead of a server."""
    calls: list[tuple[str, ServeSettings, dict[str, Any]]] = []

    def run_server(model: str, settings: ServeSettings, **options: Any) -> bool:
        calls.append((model, settings, options))
        return model != "unfinished"

    monkeypatch.setattr(run, "run_server", run_server)
    return calls


def test_nothing_said_is_safe(run_cli: Run, told: list[Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AURICLE_API_KEY", raising=False)
    assert run_cli("serve")[0] == 0
    [(model, settings, options)] = told
    assert settings == ServeSettings()
    assert (settings.host, settings.port, settings.api_key, settings.allow_local_media) == (
        "127.0.0.1",
        8000,
        None,
        None,
    )
    assert model == settings.model_name == "mini"
    assert options["engine"] == "native"
    assert (list(options["upstreams"]), options["vllm_args"]) == ([], [])


def test_every_flag_arrives(run_cli: Run, told: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    flags = ["--host", "::1", "--port", "0", "--api-key", "sk-1", "--allow-local-media", tmp_path, "--no-page"]
    flags += ["--max-upload-mb", "7", "--max-body-mb", "8", "--max-duration", "9", "--max-concurrency", "3"]
    flags += [
        "--max-queue",
        "0",
        "--max-live",
        "9",
        "--drain-timeout",
        "5",
        "--engine",
        "vllm",
        "--model",
        tmp_path,
        "--dtype",
        "float32",
    ]
    flags += ["--body-timeout", "11", "--decode-timeout", "12", "--decode-memory-mb", "13", "--fetch-timeout", "14"]
    flags += ["--cache-mb", "15"]
    flags += ["--device", "cpu", "--batch-size", "4", "--revision", "main", "--upstream", "http://a/v1"]
    flags += ["--upstream", "http://b/v1", "--", "--tensor-parallel-size", "2"]
    assert run_cli("serve", *flags) == (0, "", "")
    [(model, settings, options)] = told
    assert model == str(tmp_path)
    assert settings == ServeSettings(
        model_name=tmp_path.name,
        host="::1",
        port=0,
        api_key="sk-1",
        allow_local_media=tmp_path,
        page=False,
        max_upload_mb=7,
        max_body_mb=8,
        max_duration_s=9,
        max_concurrency=3,
        max_queue=0,
        max_live=9,
        drain_timeout_s=5,
        body_timeout_s=11,
        decode_timeout_s=12,
        decode_memory_mb=13,
        fetch_timeout_s=14,
    )
    assert options == {
        "engine": "vllm",
        "dtype": "float32",
        "device": "cpu",
        "batch_size": 4,
        "revision": "main",
        "upstreams": ["http://a/v1", "http://b/v1"],
        "vllm_args": ["--tensor-parallel-size", "2"],
        "cache_mb": 15,
    }


def test_the_key_may_stand_in_the_environment(run_cli: Run, told: list[Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AURICLE_API_KEY", "sk-environment")
    assert run_cli("serve")[0] == 0
    assert told[0][1].api_key == "sk-environment"
    assert "sk-environment" not in "".join(run_cli("serve", "--help")[1:])


def test_unfinished_requests_are_exit_code_1(run_cli: Run, told: list[Any]):
    assert run_cli("serve", "--model", "unfinished")[0] == 1


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--port", "70000"], "port must lie in 0 to 65535: got 70000"),
        (["--host", "no.such.host.invalid"], "--host no.such.host.invalid is no address"),
        (["--host", "192.0.2.1"], "cannot listen on --host 192.0.2.1"),
        (["--api-key", "two words"], "the API key holds spaces or letters that a header cannot carry"),
        (["--api-key", ""], "the API key is empty"),
        (["--allow-local-media", "/nowhere"], "--allow-local-media /nowhere is not a directory"),
        (["--max-queue", "-1"], "max_queue must not be negative: got -1"),
        (["--max-concurrency", "0"], "max_concurrency must be at least 1: got 0"),
        (["--max-duration", "0"], "max_duration_s must be above 0: got 0"),
        (["--engine", "nope", "--port", "0"], "unknown engine 'nope'"),
        (["--port", "0", "--", "--tensor-parallel-size", "2"], "--tensor-parallel-size is a flag for vLLM"),
    ],
)
def test_mistakes_are_one_sentence(run_cli: Run, flags: list[str], sentence: str):
    code, out, err = run_cli("serve", "--no-page", *flags)
    assert (code, out) == (2, "")
    assert err.startswith("auricle: ")
    assert sentence in err
    assert err.count("\n") == 1


def test_a_taken_port_is_one_sentence(run_cli: Run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = run_cli("serve", "--no-page", "--port", port)
    assert (code, err.count("\n")) == (2, 1)
    assert f"port {port} of 127.0.0.1 is taken; stop what listens there" in err


def test_a_port_for_the_administrator_is_one_sentence(run_cli: Run, monkeypatch: pytest.MonkeyPatch):
    class Refusing(socket.socket):
        def bind(self, address: Any) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(run.socket, "socket", Refusing)
    code, _, err = run_cli("serve", "--no-page", "--port", "80")
    assert code == 2
    assert "port 80 is not open to this user; take a --port above 1023" in err


@pytest.mark.parametrize(("missing", "flags"), [("fastapi", ["--no-page"]), ("uvicorn", ["--no-page"]), ("gradio", [])])
def test_a_missing_library_names_the_extra(
    run_cli: Run, monkeypatch: pytest.MonkeyPatch, missing: str, flags: list[str]
):
    monkeypatch.setattr(run, "find_spec", lambda name: None if name == missing else object())
    code, _, err = run_cli("serve", *flags)
    assert code == 2
    assert f"auricle serve needs {missing}, which is not installed; pip install 'auricle[serve]'" in err


def test_the_command_line_loads_no_server():
    """`auricle transcribe` must not wait for FastAPI."""
    code = (
        "import sys, auricle.cli.main; print({'fastapi', 'starlette', 'uvicorn', 'torch', 'gradio'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.fixture
def served(checkpoint_dir: Path) -> Iterator[tuple["subprocess.Popen[str]", list[str]]]:
    """`auricle serve` itself, with the tiny checkpoint on a free port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "auricle.cli.main", "serve", "--model", checkpoint_dir, "--port", "0", "--no-page"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "AURICLE_API_KEY": "sk-test"},
    )
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()), daemon=True)
    reader.start()
    yield process, lines
    process.kill()
    process.communicate()
    reader.join()


@pytest.mark.slow
def test_it_serves_and_ends_with_0(served: tuple["subprocess.Popen[str]", list[str]]):
    import time

    process, lines = served
    deadline = time.monotonic() + 120
    while not any("listening on" in line for line in lines):
        assert process.poll() is None, lines
        assert time.monotonic() < deadline
        time.sleep(0.05)
    [line] = [line for line in lines if "listening on" in line]
    url = re.search(r"listening on (http://127\.0\.0\.1:\d+)$", line.strip())
    assert url
    assert httpx.get(url[1] + "/v1/models").status_code == 401
    assert httpx.get(url[1] + "/v1/models", headers={"Authorization": "Bearer sk-test"}).status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert process.stdout is not None
    assert process.stdout.read() == ""
    assert not any("Traceback" in line or "sk-test" in line for line in lines)
